{{/* Scaling by lag. A declared batch counts as lag until the next one is declared, so the threshold lies well above a batch. */}}
{{- define "onepx.scaledObject" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $login := include "onepx.user" (dict "of" $kafka.users "user" "consumer") | fromJson -}}
{{- $auth := or $kafka.saslMechanism (and $kafka.tls.enabled (or $kafka.tls.caSecret $login.certSecret)) -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "onepx.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    name: {{ include "onepx.name" . }}
  minReplicaCount: {{ .values.keda.minReplicas }}
  maxReplicaCount: {{ .values.keda.maxReplicas }}
  pollingInterval: 15
  cooldownPeriod: 600
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        # Each change of the group is a rebalance.
        scaleDown:
          stabilizationWindowSeconds: 600
          policies: [{type: Pods, value: 1, periodSeconds: 120}]
  triggers:
    - type: kafka
      metadata:
        bootstrapServers: {{ join "," $kafka.brokers }}
        consumerGroup: {{ .root.Values.consumer.group }}
        topic: onepx.events
        lagThreshold: {{ .values.keda.lagThreshold | int64 | quote }}
        offsetResetPolicy: earliest
        allowIdleConsumers: "false"
        {{- if $kafka.tls.enabled }}
        tls: enable
        {{- end }}
        {{- with $kafka.saslMechanism }}
        sasl: {{ get (dict "plain" "plaintext" "scram-sha-256" "scram_sha256" "scram-sha-512" "scram_sha512") . }}
        {{- end }}
      {{- if $auth }}
      authenticationRef:
        name: {{ include "onepx.name" . }}
      {{- end }}
{{- if $auth }}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata:
  {{- include "onepx.metadata" . | nindent 2 }}
spec:
  {{- if $kafka.saslMechanism }}
  env:
    - {parameter: username, name: ONEPX_KAFKA_SASL_USERNAME, containerName: consumer}
  {{- end }}
  secretTargetRef:
    {{- if $kafka.saslMechanism }}
    - {parameter: password, name: {{ $login.existingSecret }}, key: {{ $login.passwordKey }}}
    {{- end }}
    {{- if and $kafka.tls.enabled $kafka.tls.caSecret }}
    - {parameter: ca, name: {{ $kafka.tls.caSecret }}, key: {{ $kafka.tls.caKey }}}
    {{- end }}
    {{- if and $kafka.tls.enabled $login.certSecret }}
    - {parameter: cert, name: {{ $login.certSecret }}, key: {{ $login.certKey }}}
    - {parameter: key, name: {{ $login.certSecret }}, key: {{ $login.certKeyKey }}}
    {{- end }}
{{- end }}
{{- end -}}
