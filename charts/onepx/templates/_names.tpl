{{/* Names and labels. All take the root context, or a dict of `root`, `component` and, where a component has more than one object, `suffix`. */}}

{{- define "onepx.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "onepx.name" -}}
{{- printf "%s-%s" (include "onepx.fullname" .root) (.suffix | default .component) -}}
{{- end -}}

{{/* What never changes in the life of a release: selectors cannot. */}}
{{- define "onepx.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "onepx.labels" -}}
{{ include "onepx.selector" . }}
app.kubernetes.io/version: {{ include "onepx.tag" .root | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "onepx.metadata" -}}
name: {{ include "onepx.name" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "onepx.labels" . | nindent 2 }}
{{- end -}}

{{- define "onepx.tag" -}}
{{- .Values.image.tag | default .Chart.AppVersion -}}
{{- end -}}

{{/* The image of a program: a digest pins what a tag does not. */}}
{{- define "onepx.image" -}}
{{- $image := .root.Values.image -}}
{{- $name := printf "%s/%s" $image.repository .program -}}
{{- with $image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- $digest := get $image.digests .program -}}
{{- if $digest -}}{{ $name }}@{{ $digest }}{{- else -}}{{ $name }}:{{ include "onepx.tag" .root }}{{- end -}}
{{- end -}}

{{- define "onepx.sitesConfigMap" -}}
{{- .Values.siteConfig.existingConfigMap | default (include "onepx.name" (dict "root" . "component" "sites")) -}}
{{- end -}}

{{/* Where the admin port of each component listens. */}}
{{- define "onepx.adminPort" -}}
{{- get (dict "collector" 9090 "consumer" 9091 "jobs" 9092 "console" 9093) . -}}
{{- end -}}
