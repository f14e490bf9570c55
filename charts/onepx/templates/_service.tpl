{{/* Services, routes and the like of what is reached from outside: collector and console. A dict: root, component, values, publicPort. */}}

{{- define "onepx.publicService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "onepx.metadata" . | nindent 2 }}
  {{- with .values.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .values.service.type }}
  {{- if ne .values.service.type "ClusterIP" }}
  externalTrafficPolicy: {{ .values.service.externalTrafficPolicy }}
  {{- end }}
  selector:
    {{- include "onepx.selector" . | nindent 4 }}
  ports:
    - {name: http, port: {{ .values.service.port }}, targetPort: http, protocol: TCP, appProtocol: http}
{{- end -}}

{{/* The admin port has a service of its own, so that no route of visitors can lead there. Each pod has a name in it. */}}
{{- define "onepx.adminService" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "onepx.name" . }}-admin
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "onepx.labels" . | nindent 4 }}
spec:
  type: ClusterIP
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "onepx.selector" . | nindent 4 }}
  ports:
    - {name: admin, port: {{ include "onepx.adminPort" .component }}, targetPort: admin, protocol: TCP, appProtocol: http}
{{- end -}}

{{- define "onepx.ingress" -}}
{{- with .values.ingress -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "onepx.metadata" $ | nindent 2 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .className }}
  ingressClassName: {{ . }}
  {{- end }}
  rules:
    {{- range .hosts }}
    - host: {{ .host | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ include "onepx.name" $ }}
                port: {name: http}
    {{- end }}
  {{- $secured := list }}
  {{- range .hosts }}
  {{- with .tlsSecret }}{{ $secured = append $secured . }}{{ end }}
  {{- end }}
  {{- if $secured }}
  tls:
    {{- range .hosts }}
    {{- if .tlsSecret }}
    - hosts: [{{ .host | quote }}]
      secretName: {{ .tlsSecret }}
    {{- end }}
    {{- end }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "onepx.httpRoute" -}}
{{- with .values.gateway -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  {{- include "onepx.metadata" $ | nindent 2 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  parentRefs:
    {{- toYaml .parentRefs | nindent 4 }}
  {{- with .hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - matches:
        - path: {type: PathPrefix, value: /}
      backendRefs:
        - {name: {{ include "onepx.name" $ }}, port: {{ $.values.service.port }}}
{{- end -}}
{{- end -}}

{{/* An eviction at a time: the others have drained and are ready again before the next one goes. */}}
{{- define "onepx.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "onepx.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "onepx.selector" . | nindent 6 }}
{{- end -}}

{{/* .target is the kind that is scaled, .metrics are more metrics as text. */}}
{{- define "onepx.hpa" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "onepx.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {{ .target }}
    name: {{ include "onepx.name" . }}
  minReplicas: {{ .values.hpa.minReplicas }}
  maxReplicas: {{ .values.hpa.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ .values.hpa.cpuPercent }}}
    {{- with .metrics }}
    {{- . | nindent 4 }}
    {{- end }}
  behavior:
    # Up at once, down one at a time: a pod that goes takes its warm state along.
    scaleDown:
      stabilizationWindowSeconds: 600
      policies: [{type: Pods, value: 1, periodSeconds: 120}]
{{- end -}}
