{{/*
Pods of one of our programs. A dict: root; component; program; args; values (that part of the values with resources, settings and so on);
user (who logs in); kafka, clickhouse, sites (booleans: what it needs); env, mounts, volumes (more of each, as text); publicPort (0: none);
admin (has probes); grace (seconds); restart; init (containers that go first, as text).
*/}}
{{- define "onepx.pod" -}}
metadata:
  labels:
    {{- include "onepx.labels" . | nindent 4 }}
    {{- with .values.pod.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- $annotations := merge (dict) (.annotations | default dict) .values.pod.annotations }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .root.Values.serviceAccountName }}
  serviceAccountName: {{ . }}
  {{- end }}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .restart }}
  restartPolicy: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ .grace }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- if .admin }}
  topologySpreadConstraints:
    {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: {{ $.root.Values.whenUnspreadable }}
      labelSelector:
        matchLabels:
          {{- include "onepx.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- range $field := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
  {{- with get $.values.pod $field }}
  {{ $field }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with .init }}
  initContainers:
    {{- . | nindent 4 }}
  {{- end }}
  containers:
    {{- include "onepx.container" . | nindent 4 }}
  {{- with include "onepx.volumes" . | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "onepx.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* One container, named after what it does: .container, or the component. */}}
{{- define "onepx.container" -}}
- name: {{ .container | default .component }}
  image: {{ include "onepx.image" . }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: {{ toJson .args }}
  securityContext:
    {{- include "onepx.containerSecurity" . | nindent 4 }}
  env:
    {{- include "onepx.memoryEnv" .values.resources | nindent 4 }}
    {{- include "onepx.commonEnv" . | nindent 4 }}
    {{- if .kafka }}{{ include "onepx.kafkaEnv" . | nindent 4 }}{{ end }}
    {{- if .clickhouse }}{{ include "onepx.clickhouseEnv" . | nindent 4 }}{{ end }}
    {{- if .sites }}{{ include "onepx.env" (dict "name" "ONEPX_CONFIG" "value" "/etc/onepx/onepx.yaml") | nindent 4 }}{{ end }}
    {{- with .env | default "" | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with include "onepx.ownEnv" .values | trim }}{{ . | nindent 4 }}{{ end }}
  resources:
    {{- toYaml .values.resources | nindent 4 }}
  {{- if .admin }}
  ports:
    {{- with .publicPort }}
    - {name: http, containerPort: {{ . }}, protocol: TCP}
    {{- end }}
    - {name: admin, containerPort: {{ include "onepx.adminPort" .component }}, protocol: TCP}
  livenessProbe:
    httpGet: {path: /livez, port: admin}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet: {path: /readyz, port: admin}
    periodSeconds: 2
    timeoutSeconds: 2
    failureThreshold: 2
  {{- end }}
  {{- with include "onepx.mounts" . | trim }}
  volumeMounts:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "onepx.mounts" -}}
{{- if .sites }}
- {name: sites, mountPath: /etc/onepx, readOnly: true}
{{- end }}
{{- if .kafka }}{{ include "onepx.kafkaMounts" . }}{{ end }}
{{- if .clickhouse }}{{ include "onepx.clickhouseMounts" . }}{{ end }}
{{- with .mounts }}
{{ . }}
{{- end }}
{{- with .values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The volumes of all containers of a pod; with .allVolumes also what only those that go first need. */}}
{{- define "onepx.volumes" -}}
{{- if or .sites .allVolumes }}
- name: sites
  configMap:
    name: {{ .sitesConfigMap | default (include "onepx.sitesConfigMap" .root) }}
{{- end }}
{{- if or .kafka .allVolumes }}{{ include "onepx.kafkaVolumes" . }}{{ end }}
{{- if or .clickhouse .allVolumes }}{{ include "onepx.clickhouseVolumes" . }}{{ end }}
{{- with .volumes }}
{{ . }}
{{- end }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
