// Package localstack runs the parts that onepx needs, without a container engine: a real ClickHouse, a real Apache Kafka
// or one inside this process, and any other program.
//
// It promises that a part which was started is ready to be used, keeps its ports and its data over Stop, Kill and
// Restart, and (on Linux) dies with the program that started it, however that one ends. What has to be downloaded is
// pinned by hash and kept in a cache that all checkouts of a user share; a missing program is named with the command
// that installs it.
//
// Callers are tools/dev, tools/e2e and integration tests. A program that starts ClickHouse calls RunChild as the first
// thing in main (or TestMain): the server is that same program again, with libchdb loaded.
//
// Order: StartKafka and StartClickHouse, in any order or at once; StartProcess for what talks to them; then Stop in
// reverse.
package localstack
