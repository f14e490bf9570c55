package chart_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// workload is whatever makes pods.
type workload struct {
	object
	labels   map[string]string
	pod      core.PodSpec
	selector *meta.LabelSelector // nil for what is no controller of many
	forLong  bool                // runs until it is stopped
}

func workloads(all []object) []workload {
	var found []workload
	for _, o := range all {
		switch d := o.decoded.(type) {
		case *apps.Deployment:
			found = append(found, workload{o, d.Spec.Template.Labels, d.Spec.Template.Spec, d.Spec.Selector, true})
		case *apps.StatefulSet:
			found = append(found, workload{o, d.Spec.Template.Labels, d.Spec.Template.Spec, d.Spec.Selector, true})
		case *batch.Job:
			found = append(found, workload{o, d.Spec.Template.Labels, d.Spec.Template.Spec, nil, false})
		case *batch.CronJob:
			found = append(found, workload{o, d.Spec.JobTemplate.Spec.Template.Labels, d.Spec.JobTemplate.Spec.Template.Spec, nil, false})
		case *core.Pod:
			found = append(found, workload{o, d.Labels, d.Spec, nil, false})
		}
	}
	return found
}

// containers are those of a pod, those that go first included.
func (w workload) containers() []core.Container {
	return slices.Concat(w.pod.InitContainers, w.pod.Containers)
}

// each runs a check on every way of use.
func each(t *testing.T, check func(t *testing.T, all []object)) {
	t.Helper()
	for name, values := range sets(t) {
		t.Run(name, func(t *testing.T) { check(t, objects(t, documents(t, values))) })
	}
}

// The rules of the Pod Security Standard "restricted", and a root file system that nobody can write to.
func TestNoPodHasMoreRightsThanItNeeds(t *testing.T) {
	each(t, func(t *testing.T, all []object) {
		require.NotEmpty(t, workloads(all))
		for _, w := range workloads(all) {
			assert.False(t, *w.pod.AutomountServiceAccountToken, w.name)
			assert.True(t, *w.pod.SecurityContext.RunAsNonRoot, w.name)
			assert.Positive(t, *w.pod.SecurityContext.RunAsUser, w.name)
			assert.Equal(t, core.SeccompProfileTypeRuntimeDefault, w.pod.SecurityContext.SeccompProfile.Type, w.name)
			assert.False(t, w.pod.HostNetwork || w.pod.HostPID || w.pod.HostIPC, w.name)
			for _, c := range w.containers() {
				assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation, "%s/%s", w.name, c.Name)
				assert.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, "%s/%s", w.name, c.Name)
				assert.Equal(t, &core.Capabilities{Drop: []core.Capability{"ALL"}}, c.SecurityContext.Capabilities, "%s/%s", w.name, c.Name)
				assert.Nil(t, c.SecurityContext.Privileged, "%s/%s", w.name, c.Name)
			}
			for _, v := range w.pod.Volumes {
				assert.Nil(t, v.HostPath, "%s/%s", w.name, v.Name)
			}
		}
	})
}

func TestEveryContainerSaysWhatItTakes(t *testing.T) {
	each(t, func(t *testing.T, all []object) {
		for _, w := range workloads(all) {
			for _, c := range w.containers() {
				limit, request := c.Resources.Limits.Memory(), c.Resources.Requests.Memory()
				assert.Positive(t, limit.Value(), "%s/%s", w.name, c.Name)
				assert.Positive(t, request.Value(), "%s/%s", w.name, c.Name)
				assert.LessOrEqual(t, request.Value(), limit.Value(), "%s/%s", w.name, c.Name)
				assert.False(t, c.Resources.Requests.Cpu().IsZero(), "%s/%s", w.name, c.Name)
				assert.True(t, program(c) == "" || memoryOfGo(t, c) < limit.Value()*9/10, "%s/%s: Go may take all that there is", w.name, c.Name)
				_, tag, tagged := strings.Cut(c.Image, ":")
				assert.True(t, tagged && tag != "" && tag != "latest", "%s/%s: %s", w.name, c.Name, c.Image)
			}
		}
	})
}

// memoryOfGo is GOMEMLIMIT in bytes; every program of ours has one.
func memoryOfGo(t *testing.T, c core.Container) int64 {
	t.Helper()
	for _, env := range c.Env {
		if env.Name == "GOMEMLIMIT" {
			limit, err := resource.ParseQuantity(strings.TrimSuffix(env.Value, "B"))
			require.NoError(t, err)
			return limit.Value()
		}
	}
	require.Fail(t, "no GOMEMLIMIT", c.Name)
	return 0
}

func TestSecretsAreNamedAndNeverGiven(t *testing.T) {
	each(t, func(t *testing.T, all []object) {
		for _, o := range all {
			require.NotEqual(t, "Secret", o.kind)
			if config, ok := o.decoded.(*core.ConfigMap); ok {
				for key := range config.Data {
					assert.Regexp(t, `^onepx\.yaml$|\.json$`, key, o.name)
				}
			}
		}
		for _, w := range workloads(all) {
			for _, c := range w.containers() {
				for _, env := range c.Env {
					secret := strings.HasSuffix(env.Name, "PASSWORD") || strings.HasSuffix(env.Name, "SECRET") || strings.HasSuffix(env.Name, "_KEYS")
					if secret {
						assert.Empty(t, env.Value, "%s/%s: %s", w.name, c.Name, env.Name)
						assert.NotEmpty(t, env.ValueFrom.SecretKeyRef.Name, "%s/%s: %s", w.name, c.Name, env.Name)
						assert.NotEmpty(t, env.ValueFrom.SecretKeyRef.Key, "%s/%s: %s", w.name, c.Name, env.Name)
					}
				}
			}
		}
	})
}

func matches(t *testing.T, selector *meta.LabelSelector, set map[string]string) bool {
	t.Helper()
	s, err := meta.LabelSelectorAsSelector(selector)
	require.NoError(t, err)
	return s.Matches(labels.Set(set))
}

func TestEverySelectorFindsItsPodsAndNoOthers(t *testing.T) {
	each(t, func(t *testing.T, all []object) {
		pods := workloads(all)
		only := func(name, component string, selector *meta.LabelSelector) {
			found := 0
			for _, w := range pods {
				if matches(t, selector, w.labels) {
					found++
					assert.Equal(t, component, w.labels["app.kubernetes.io/component"], name)
				}
			}
			assert.Positive(t, found, "%s finds no pod", name)
		}
		for _, w := range pods {
			if w.selector != nil {
				only(w.name, w.component, w.selector)
			}
			for _, spread := range w.pod.TopologySpreadConstraints {
				only(w.name, w.component, spread.LabelSelector)
			}
		}
		for _, o := range all {
			switch d := o.decoded.(type) {
			case *core.Service:
				only(o.name, o.component, &meta.LabelSelector{MatchLabels: d.Spec.Selector})
			case *policy.PodDisruptionBudget:
				only(o.name, o.component, d.Spec.Selector)
			case *networking.NetworkPolicy:
				if o.component != "prepare" || hasPrepare(pods) {
					only(o.name, o.component, &d.Spec.PodSelector)
				}
			}
		}
	})
}

// hasPrepare is true where pods of that name exist, be it those of the test.
func hasPrepare(pods []workload) bool {
	return slices.ContainsFunc(pods, func(w workload) bool { return w.component == "prepare" })
}

func TestAnEvictionAtATimeIsAllowedOfWhateverHasMoreThanOnePod(t *testing.T) {
	each(t, func(t *testing.T, all []object) {
		budgets := make(map[string]bool)
		for _, o := range all {
			if d, ok := o.decoded.(*policy.PodDisruptionBudget); ok {
				budgets[o.component] = true
				require.Equal(t, intstr.FromInt32(1), *d.Spec.MaxUnavailable, o.name)
				require.Nil(t, d.Spec.MinAvailable, o.name)
			}
		}
		for _, w := range workloads(all) {
			if w.forLong && w.component != "jobs" {
				require.True(t, budgets[w.component], w.name)
				delete(budgets, w.component)
			}
		}
		require.Empty(t, slices.Collect(maps.Keys(budgets)))
	})
}

func TestOneOwnerSaysHowManyPodsThereAre(t *testing.T) {
	each(t, func(t *testing.T, all []object) {
		scaled := make(map[string]string) // name of what is scaled, by kind and name of the target
		for _, o := range all {
			if d, ok := o.decoded.(*autoscaling.HorizontalPodAutoscaler); ok {
				scaled[d.Spec.ScaleTargetRef.Kind+"/"+d.Spec.ScaleTargetRef.Name] = o.name
			}
			if o.kind == "ScaledObject" {
				scaled["Deployment/"+o.name] = o.name
			}
		}
		for _, w := range workloads(all) {
			var replicas *int32
			switch d := w.decoded.(type) {
			case *apps.Deployment:
				replicas = d.Spec.Replicas
			case *apps.StatefulSet:
				replicas = d.Spec.Replicas
			default:
				continue
			}
			_, byScaler := scaled[w.kind+"/"+w.name]
			require.Equal(t, byScaler, replicas == nil, w.name)
			delete(scaled, w.kind+"/"+w.name)
		}
		require.Empty(t, scaled, "scalers of nothing")
	})
}
