package chart_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	// Keeps KEDA's module, whose definitions of resources are read as files: compiling its types would take a minute.
	_ "github.com/kedacore/keda/v2/version"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// object is one of the chart, decoded: into its Go type, or as a map where that has been checked against its definition.
type object struct {
	kind, name, component string
	text                  string
	decoded               runtime.Object // nil for KEDA's
}

// types are all that the chart may make, but KEDA's.
func types(t *testing.T) runtime.Decoder {
	t.Helper()
	known := runtime.NewScheme()
	require.NoError(t, scheme.AddToScheme(known))
	require.NoError(t, monitoring.AddToScheme(known))
	require.NoError(t, gateway.Install(known))
	return serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
}

// objects decodes the documents of a way of use. An unknown or repeated field, or a wrong type, ends the test.
func objects(t *testing.T, documents []string) []object {
	t.Helper()
	decoder := types(t)
	var all []object
	for _, text := range documents {
		var head struct {
			APIVersion, Kind string
			Metadata         struct {
				Name, Namespace string
				Labels          map[string]string
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(text), &head), text)
		o := object{kind: head.Kind, name: head.Metadata.Name, component: head.Metadata.Labels["app.kubernetes.io/component"], text: text}
		require.NotEmpty(t, o.name, text)
		require.Equal(t, "tracking", head.Metadata.Namespace, text)
		require.Equal(t, "px", head.Metadata.Labels["app.kubernetes.io/instance"], text)
		if group := schema.FromAPIVersionAndKind(head.APIVersion, head.Kind).Group; group == "keda.sh" {
			require.NoError(t, yaml.UnmarshalStrict([]byte(text), new(map[string]any)), text)
			require.NoError(t, definition(t, head.Kind).Validate(decodeValues(t, text)), text)
		} else {
			decoded, _, err := decoder.Decode([]byte(text), nil, nil)
			require.NoError(t, err, text)
			o.decoded = decoded
		}
		all = append(all, o)
	}
	return all
}

// definition reads the definition of one of KEDA's kinds from KEDA's module and makes it strict.
func definition(t *testing.T, kind string) *jsonschema.Schema {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2")
	dir, err := list.Output()
	require.NoError(t, err)
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	file := read(t, strings.TrimSpace(string(dir)), "config", "crd", "bases", "keda.sh_"+strings.ToLower(kind)+"s.yaml")
	require.NoError(t, yaml.Unmarshal([]byte(file), &crd))
	require.Len(t, crd.Spec.Versions, 1)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("keda.json", strict(crd.Spec.Versions[0].Schema.OpenAPIV3Schema)))
	compiled, err := compiler.Compile("keda.json")
	require.NoError(t, err)
	return compiled
}

// strict refuses fields that a schema does not name, at every depth; metadata is Kubernetes' own.
func strict(node any) any {
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			if key != "metadata" {
				node[key] = strict(value)
			}
		}
		if _, ok := node["properties"].(map[string]any); ok && node["type"] == "object" {
			node["additionalProperties"] = false
		}
	case []any:
		for i := range node {
			node[i] = strict(node[i])
		}
	}
	return node
}

func TestEveryObjectIsOneThatKubernetesKnows(t *testing.T) {
	seen := make(map[string]bool)
	for name, values := range sets(t) {
		t.Run(name, func(t *testing.T) {
			names := make(map[string]bool)
			for _, o := range objects(t, documentsOf(t, withMonitoring(t), values)) {
				require.False(t, names[o.kind+"/"+o.name], "%s/%s is there twice", o.kind, o.name)
				names[o.kind+"/"+o.name], seen[o.kind] = true, true
			}
		})
	}
	for _, kind := range []string{
		"ConfigMap", "CronJob", "Deployment", "HTTPRoute", "HorizontalPodAutoscaler", "Ingress", "Job", "NetworkPolicy", "Pod", "PodDisruptionBudget",
		"PodMonitor", "PrometheusRule", "ScaledObject", "Service", "StatefulSet", "TriggerAuthentication",
	} {
		require.True(t, seen[kind], "no way of use makes a %s", kind)
	}
	require.Len(t, seen, 16)
}

func TestWhatKubernetesDoesNotKnowIsTold(t *testing.T) {
	const head = "metadata: {name: x, namespace: tracking}\nspec: "
	for _, tc := range []struct{ name, text, want string }{
		{"a field of no kind", "apiVersion: v1\nkind: Service\n" + head + `{typ: ClusterIP}`, `unknown field "spec.typ"`},
		{"a field that is there twice", "apiVersion: v1\nkind: Service\n" + head + `{type: ClusterIP, type: NodePort}`, `"type"`},
		{"a wrong type", "apiVersion: apps/v1\nkind: Deployment\n" + head + `{replicas: two}`, "replicas"},
		{"a field of no route", "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n" + head + `{hosts: []}`, `unknown field "spec.hosts"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := types(t).Decode([]byte(tc.text), nil, nil)
			require.ErrorContains(t, err, tc.want)
		})
	}
	scaled := decodeValues(t, "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\n"+head+`{scaleTargetRef: {name: x}, triggers: [], maxReplicas: 3}`)
	require.ErrorContains(t, definition(t, "ScaledObject").Validate(scaled), "maxReplicas")
}

func TestEachGoldenFileHasItsValues(t *testing.T) {
	golden, err := filepath.Glob("testdata/golden/*.yaml")
	require.NoError(t, err)
	require.Len(t, golden, len(sets(t)), "a golden file without values, or values without a golden file")
}
