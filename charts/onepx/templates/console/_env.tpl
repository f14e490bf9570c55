{{- define "onepx.consoleEnv" -}}
{{ include "onepx.secretEnv" (dict "name" "ONEPX_SECRET" "secret" .root.Values.secret.existingSecret "key" .root.Values.secret.key) }}
{{- with .root.Values.mailKeys }}
{{- if .existingSecret }}
{{ include "onepx.secretEnv" (dict "name" "ONEPX_MAIL_KEYS" "secret" .existingSecret "key" .key) }}
{{- end }}
{{- end }}
{{- if .root.Values.exports.existingClaim }}
{{ include "onepx.env" (dict "name" "ONEPX_EXPORT_DIR" "value" "/exports") }}
{{- end }}
{{ include "onepx.env" (dict "name" "ONEPX_STOP_GRACE" "value" (printf "%ds" (int .values.stopGraceSeconds))) }}
{{ include "onepx.env" (dict "name" "ONEPX_STOP_TIMEOUT" "value" (printf "%ds" (int .values.stopTimeoutSeconds))) }}
{{- end -}}

{{- define "onepx.consoleVolumes" -}}
{{- if .existingClaim }}
- name: exports
  persistentVolumeClaim: {claimName: {{ .existingClaim }}, readOnly: true}
{{- end }}
{{- end -}}
