package cluster_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	scheduling "k8s.io/api/scheduling/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// without is what the chart makes of kinds whose definitions no Go module has as files.
const without = "monitoring.podMonitor.enabled=false,monitoring.rules.enabled=false"

// A release goes through its life on a real API server, for each way of use.
func TestAReleaseIsInstalledUpgradedRolledBackAndUninstalled(t *testing.T) {
	c := start(t)
	c.define(t)
	_, err := c.typed.SchedulingV1().PriorityClasses().Create(t.Context(), &scheduling.PriorityClass{ObjectMeta: meta.ObjectMeta{Name: "high"}, Value: 1000}, meta.CreateOptions{})
	require.NoError(t, err)
	defer c.finish(t)()
	files, err := filepath.Glob("../testdata/values/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 8)
	for _, file := range files {
		use := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(use, func(t *testing.T) {
			c.namespace(t, use)
			helm := func(args ...string) {
				t.Helper()
				out, err := c.helm(t, use, args...)
				require.NoError(t, err, "helm %s:\n%s", strings.Join(args, " "), out)
			}
			chart := []string{"px", "../../../charts/onepx", "--values", file, "--set", without, "--timeout", "2m"}

			helm(append([]string{"install"}, chart...)...)
			first := c.logLevel(t, use)
			c.tryPods(t, use)

			helm(append([]string{"upgrade", "--set", "logLevel=debug"}, chart...)...)
			require.Equal(t, "debug", c.logLevel(t, use))
			c.tryPods(t, use)

			helm("rollback", "px", "1", "--timeout", "2m")
			require.Equal(t, first, c.logLevel(t, use))
			helm("test", "px", "--timeout", "2m")
			helm("uninstall", "px", "--timeout", "2m")
			// Helm leaves the objects of hooks, and nothing else.
			left := c.left(t, use)
			require.Contains(t, left, "Pod test-stores")
			require.Subset(t, []string{"ConfigMap prepare", "Job prepare", "Pod test-pixel", "Pod test-stores"}, left)
		})
	}
}

// A namespace that is "restricted" refuses a pod with more rights: the test above would see one.
func TestAPodWithMoreRightsIsRefused(t *testing.T) {
	c := start(t)
	c.namespace(t, "strict")
	pod := &core.Pod{ObjectMeta: meta.ObjectMeta{Name: "root"}, Spec: core.PodSpec{Containers: []core.Container{{Name: "c", Image: "i:1"}}}}
	_, err := c.typed.CoreV1().Pods("strict").Create(t.Context(), pod, meta.CreateOptions{DryRun: []string{meta.DryRunAll}})
	require.ErrorContains(t, err, `violates PodSecurity "restricted`)
}

// logLevel is the setting of the consumer as it stands in the cluster.
func (c *cluster) logLevel(t *testing.T, namespace string) string {
	t.Helper()
	found, err := c.typed.AppsV1().Deployments(namespace).List(t.Context(), meta.ListOptions{LabelSelector: "app.kubernetes.io/component=consumer"})
	require.NoError(t, err)
	require.Len(t, found.Items, 1)
	for _, env := range found.Items[0].Spec.Template.Spec.Containers[0].Env {
		if env.Name == "ONEPX_LOG_LEVEL" {
			return env.Value
		}
	}
	require.Fail(t, "no ONEPX_LOG_LEVEL")
	return ""
}

// tryPods makes a pod of each template of a namespace, as a controller would, and takes it back: admission has its say.
func (c *cluster) tryPods(t *testing.T, namespace string) {
	t.Helper()
	templates := make(map[string]core.PodTemplateSpec)
	deployments, err := c.typed.AppsV1().Deployments(namespace).List(t.Context(), meta.ListOptions{})
	require.NoError(t, err)
	for i := range deployments.Items {
		templates["deployment "+deployments.Items[i].Name] = deployments.Items[i].Spec.Template
	}
	sets, err := c.typed.AppsV1().StatefulSets(namespace).List(t.Context(), meta.ListOptions{})
	require.NoError(t, err)
	for i := range sets.Items {
		template := sets.Items[i].Spec.Template
		for _, claim := range sets.Items[i].Spec.VolumeClaimTemplates {
			source := core.VolumeSource{PersistentVolumeClaim: &core.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-0"}}
			template.Spec.Volumes = append(template.Spec.Volumes, core.Volume{Name: claim.Name, VolumeSource: source})
		}
		templates["statefulset "+sets.Items[i].Name] = template
	}
	jobs, err := c.typed.BatchV1().Jobs(namespace).List(t.Context(), meta.ListOptions{})
	require.NoError(t, err)
	for i := range jobs.Items {
		templates["job "+jobs.Items[i].Name] = jobs.Items[i].Spec.Template
	}
	crons, err := c.typed.BatchV1().CronJobs(namespace).List(t.Context(), meta.ListOptions{})
	require.NoError(t, err)
	for i := range crons.Items {
		templates["cronjob "+crons.Items[i].Name] = crons.Items[i].Spec.JobTemplate.Spec.Template
	}
	require.GreaterOrEqual(t, len(templates), 3)
	for of, template := range templates {
		pod := &core.Pod{ObjectMeta: meta.ObjectMeta{GenerateName: "try-", Labels: template.Labels, Annotations: template.Annotations}, Spec: template.Spec}
		_, err := c.typed.CoreV1().Pods(namespace).Create(t.Context(), pod, meta.CreateOptions{DryRun: []string{meta.DryRunAll}})
		require.NoError(t, err, of)
	}
}

// left are the release's objects in a namespace, of whatever kind, as "Kind name" without the release's prefix, sorted.
func (c *cluster) left(t *testing.T, namespace string) []string {
	t.Helper()
	lists, err := discovery.ServerPreferredNamespacedResources(c.discovery)
	require.NoError(t, err)
	var found []string
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		require.NoError(t, err)
		for i := range list.APIResources {
			if !slices.Contains(list.APIResources[i].Verbs, "list") {
				continue
			}
			objects, err := c.dynamic.Resource(version.WithResource(list.APIResources[i].Name)).Namespace(namespace).
				List(t.Context(), meta.ListOptions{LabelSelector: "app.kubernetes.io/instance=px"})
			require.NoError(t, err)
			for i := range objects.Items {
				_, name, _ := strings.Cut(objects.Items[i].GetName(), "onepx-")
				found = append(found, objects.Items[i].GetKind()+" "+name)
			}
		}
	}
	slices.Sort(found)
	return found
}

// finish declares Jobs and the pods of tests done, as kubelets and controllers would, until the function it returns is called.
func (c *cluster) finish(t *testing.T) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var parts sync.WaitGroup
	parts.Go(func() {
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.finishOnce(ctx)
			}
		}
	})
	return func() {
		cancel()
		parts.Wait()
	}
}

// finishOnce ignores errors: what it could not write it finds again, and what never ends fails the test by Helm's time limit.
func (c *cluster) finishOnce(ctx context.Context) {
	now := meta.Now()
	if jobs, err := c.typed.BatchV1().Jobs("").List(ctx, meta.ListOptions{}); err == nil {
		for i := range jobs.Items {
			job := &jobs.Items[i]
			if job.Status.CompletionTime != nil {
				continue
			}
			done := func(kind batch.JobConditionType) batch.JobCondition {
				return batch.JobCondition{Type: kind, Status: core.ConditionTrue, LastTransitionTime: now, LastProbeTime: now}
			}
			job.Status = batch.JobStatus{StartTime: &now, CompletionTime: &now, Succeeded: 1, Conditions: []batch.JobCondition{done(batch.JobSuccessCriteriaMet), done(batch.JobComplete)}}
			_, _ = c.typed.BatchV1().Jobs(job.Namespace).UpdateStatus(ctx, job, meta.UpdateOptions{})
		}
	}
	if pods, err := c.typed.CoreV1().Pods("").List(ctx, meta.ListOptions{}); err == nil {
		for i := range pods.Items {
			pod := &pods.Items[i]
			if pod.Status.Phase == core.PodSucceeded {
				continue
			}
			pod.Status.Phase = core.PodSucceeded
			_, _ = c.typed.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, meta.UpdateOptions{})
		}
	}
}
