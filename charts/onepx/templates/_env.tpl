{{/* Environment and volumes. All take a dict of `root` and, where users differ, `user`: who logs in. */}}

{{/* user returns, as JSON, the login of .user in .of: its own where it has one, else that of `default`. */}}
{{- define "onepx.user" -}}
{{- $own := get .of .user | default dict -}}
{{- $standard := get .of "default" | default dict -}}
{{- $login := dict -}}
{{- range $key, $value := $standard }}{{ $_ := set $login $key $value }}{{ end -}}
{{- range $key, $value := $own }}{{ if $value }}{{ $_ := set $login $key $value }}{{ end }}{{ end -}}
{{- toJson $login -}}
{{- end -}}

{{- define "onepx.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end -}}

{{- define "onepx.env" -}}
- name: {{ .name }}
  value: {{ .value | toString | quote }}
{{- end -}}

{{- define "onepx.kafkaEnv" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $login := include "onepx.user" (dict "of" $kafka.users "user" .user) | fromJson -}}
{{ include "onepx.env" (dict "name" "ONEPX_KAFKA_BROKERS" "value" (join "," $kafka.brokers)) }}
{{- if $kafka.tls.enabled }}
{{ include "onepx.env" (dict "name" "ONEPX_KAFKA_TLS" "value" "true") }}
{{- if $kafka.tls.caSecret }}
{{ include "onepx.env" (dict "name" "ONEPX_KAFKA_TLS_CA_FILE" "value" "/etc/onepx-kafka-ca/ca.crt") }}
{{- end }}
{{- with $kafka.tls.serverName }}
{{ include "onepx.env" (dict "name" "ONEPX_KAFKA_TLS_SERVER_NAME" "value" .) }}
{{- end }}
{{- if $login.certSecret }}
{{ include "onepx.env" (dict "name" "ONEPX_KAFKA_TLS_CERT_FILE" "value" "/etc/onepx-kafka-cert/tls.crt") }}
{{ include "onepx.env" (dict "name" "ONEPX_KAFKA_TLS_KEY_FILE" "value" "/etc/onepx-kafka-cert/tls.key") }}
{{- end }}
{{- end }}
{{- if $kafka.saslMechanism }}
{{ include "onepx.env" (dict "name" "ONEPX_KAFKA_SASL_MECHANISM" "value" $kafka.saslMechanism) }}
{{ include "onepx.env" (dict "name" "ONEPX_KAFKA_SASL_USERNAME" "value" $login.username) }}
{{ include "onepx.secretEnv" (dict "name" "ONEPX_KAFKA_SASL_PASSWORD" "secret" $login.existingSecret "key" $login.passwordKey) }}
{{- end }}
{{- end -}}

{{- define "onepx.kafkaMounts" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $login := include "onepx.user" (dict "of" $kafka.users "user" .user) | fromJson -}}
{{- if and $kafka.tls.enabled $kafka.tls.caSecret }}
- {name: kafka-ca, mountPath: /etc/onepx-kafka-ca, readOnly: true}
{{- end }}
{{- if and $kafka.tls.enabled $login.certSecret }}
- {name: kafka-cert, mountPath: /etc/onepx-kafka-cert, readOnly: true}
{{- end }}
{{- end -}}

{{- define "onepx.kafkaVolumes" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $login := include "onepx.user" (dict "of" $kafka.users "user" .user) | fromJson -}}
{{- if and $kafka.tls.enabled $kafka.tls.caSecret }}
- name: kafka-ca
  secret:
    secretName: {{ $kafka.tls.caSecret }}
    items: [{key: {{ $kafka.tls.caKey }}, path: ca.crt}]
{{- end }}
{{- if and $kafka.tls.enabled $login.certSecret }}
- name: kafka-cert
  secret:
    secretName: {{ $login.certSecret }}
    items: [{key: {{ $login.certKey }}, path: tls.crt}, {key: {{ $login.certKeyKey }}, path: tls.key}]
{{- end }}
{{- end -}}

{{- define "onepx.clickhouseEnv" -}}
{{- $clickhouse := .root.Values.clickhouse -}}
{{- $login := include "onepx.user" (dict "of" $clickhouse.users "user" .user) | fromJson -}}
{{ include "onepx.env" (dict "name" "ONEPX_CLICKHOUSE_ADDR" "value" (join "," $clickhouse.addresses)) }}
{{ include "onepx.env" (dict "name" "ONEPX_CLICKHOUSE_DATABASE" "value" $clickhouse.database) }}
{{ include "onepx.env" (dict "name" "ONEPX_CLICKHOUSE_USER" "value" $login.username) }}
{{- if $login.existingSecret }}
{{ include "onepx.secretEnv" (dict "name" "ONEPX_CLICKHOUSE_PASSWORD" "secret" $login.existingSecret "key" $login.passwordKey) }}
{{- end }}
{{- if $clickhouse.tls.enabled }}
{{ include "onepx.env" (dict "name" "ONEPX_CLICKHOUSE_TLS" "value" "true") }}
{{- if $clickhouse.tls.caSecret }}
{{ include "onepx.env" (dict "name" "ONEPX_CLICKHOUSE_TLS_CA_FILE" "value" "/etc/onepx-clickhouse-ca/ca.crt") }}
{{- end }}
{{- with $clickhouse.tls.serverName }}
{{ include "onepx.env" (dict "name" "ONEPX_CLICKHOUSE_TLS_SERVER_NAME" "value" .) }}
{{- end }}
{{- end }}
{{- if and $clickhouse.cluster (ne .user "console") }}
{{ include "onepx.env" (dict "name" "ONEPX_CLICKHOUSE_CLUSTER" "value" $clickhouse.cluster) }}
{{ include "onepx.env" (dict "name" "ONEPX_CLICKHOUSE_SHARDS" "value" (join "," $clickhouse.shards)) }}
{{- end }}
{{- end -}}

{{- define "onepx.clickhouseMounts" -}}
{{- if and .root.Values.clickhouse.tls.enabled .root.Values.clickhouse.tls.caSecret }}
- {name: clickhouse-ca, mountPath: /etc/onepx-clickhouse-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "onepx.clickhouseVolumes" -}}
{{- with .root.Values.clickhouse.tls }}
{{- if and .enabled .caSecret }}
- name: clickhouse-ca
  secret:
    secretName: {{ .caSecret }}
    items: [{key: {{ .caKey }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- end -}}

{{/* What every program of ours takes. */}}
{{- define "onepx.commonEnv" -}}
{{ include "onepx.env" (dict "name" "ONEPX_LOG_LEVEL" "value" .root.Values.logLevel) }}
{{- with .root.Values.telemetry.otlpEndpoint }}
{{ include "onepx.env" (dict "name" "OTEL_EXPORTER_OTLP_ENDPOINT" "value" .) }}
{{- end }}
{{- end -}}

{{/* GOMEMLIMIT: 86 % of the limit of memory, so that Go collects before the kernel kills. */}}
{{- define "onepx.memoryEnv" -}}
{{- $limit := .limits.memory -}}
{{- $mebibytes := regexFind "^[0-9]+" $limit | int64 -}}
{{- if hasSuffix "Gi" $limit }}{{ $mebibytes = mul $mebibytes 1024 }}{{ end -}}
{{ include "onepx.env" (dict "name" "GOMEMLIMIT" "value" (printf "%dMiB" (div (mul $mebibytes 86) 100))) }}
{{- end -}}

{{/* Settings and secrets that people add to a component. */}}
{{- define "onepx.ownEnv" -}}
{{- range $name, $value := .settings }}
{{ include "onepx.env" (dict "name" $name "value" $value) }}
{{- end }}
{{- range .secretEnv }}
{{ include "onepx.secretEnv" (dict "name" .name "secret" .existingSecret "key" .key) }}
{{- end }}
{{- end -}}
