package localstack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

const kafkaVersion = "4.4.0"

// kafkaJars is the SHA-256 of the lines "name sha256\n" of all jars, sorted by name.
const kafkaJars = "98d35db37b03cc7124f6a6cce2220db914d744805087e99974d45472339a3ad0"

// kafkaPOM asks Maven for the broker with all it needs, and for the binding that sends its log through log4j.
const kafkaPOM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>onepx</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>` + kafkaVersion + `</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.25.5</version>
    </dependency>
  </dependencies>
</project>
`

// fetchKafka returns the directory with Kafka's jars, after checking that there is a Java to run them.
func fetchKafka(ctx context.Context, progress io.Writer) (string, error) {
	if err := need(ctx, java, progress); err != nil {
		return "", err
	}
	return fetch(ctx, "kafka-"+kafkaVersion, func(ctx context.Context, dir string) error {
		if err := need(ctx, mvn, progress); err != nil {
			return err
		}
		fmt.Fprintf(progress, "downloading Apache Kafka %s (43 MB)\n", kafkaVersion)
		return mvnCopy(ctx, dir)
	})
}

// mvnCopy fills dir with the jars and checks them.
func mvnCopy(ctx context.Context, dir string) error {
	pom := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(pom, []byte(kafkaPOM), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", pom,
		"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn dependency:copy-dependencies: %w\n%s", err, out)
	}
	sum, err := hashJars(dir)
	if err != nil {
		return err
	}
	if sum != kafkaJars {
		return fmt.Errorf("%w: the jars of Kafka are %s, want %s", errWrongHash, sum, kafkaJars)
	}
	return nil
}

// hashJars returns the hash of a directory's jars as kafkaJars has it.
func hashJars(dir string) (string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.jar")) // sorted
	if err != nil {
		return "", err
	}
	list := sha256.New()
	for _, name := range names {
		sum, err := hashFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(list, "%s %s\n", filepath.Base(name), sum)
	}
	return hex.EncodeToString(list.Sum(nil)), nil
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
