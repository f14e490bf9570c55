{{/* The collector's own settings. The folder of the spool is made by the collector, one below the volume's root. */}}
{{- define "onepx.collectorEnv" -}}
{{- $v := .values -}}
{{ include "onepx.secretEnv" (dict "name" "ONEPX_SECRET" "secret" .root.Values.secret.existingSecret "key" .root.Values.secret.key) }}
{{- with .root.Values.mailKeys }}
{{- if .existingSecret }}
{{ include "onepx.secretEnv" (dict "name" "ONEPX_MAIL_KEYS" "secret" .existingSecret "key" .key) }}
{{- end }}
{{- end }}
{{- with $v.trustedProxies }}
{{ include "onepx.env" (dict "name" "ONEPX_TRUSTED_PROXIES" "value" (join "," .)) }}
{{- end }}
{{- if $v.spool.enabled }}
{{ include "onepx.env" (dict "name" "ONEPX_SPOOL_DIR" "value" "/var/lib/onepx/spool") }}
{{ include "onepx.env" (dict "name" "ONEPX_SPOOL_QUOTA_BYTES" "value" (int64 $v.spool.quotaBytes)) }}
{{- end }}
{{ include "onepx.env" (dict "name" "ONEPX_STOP_GRACE" "value" (printf "%ds" (int $v.stopGraceSeconds))) }}
{{ include "onepx.env" (dict "name" "ONEPX_STOP_TIMEOUT" "value" (printf "%ds" (int $v.stopTimeoutSeconds))) }}
{{- end -}}
