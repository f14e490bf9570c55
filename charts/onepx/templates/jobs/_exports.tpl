{{- define "onepx.jobsEnv" -}}
{{ include "onepx.groupEnv" . }}
{{- with .Values.exports }}
{{- if .existingClaim }}
{{ include "onepx.env" (dict "name" "ONEPX_EXPORT_DIR" "value" "/exports") }}
{{ include "onepx.secretEnv" (dict "name" "ONEPX_SECRET" "secret" $.Values.secret.existingSecret "key" $.Values.secret.key) }}
{{- end }}
{{- if .contactsClaim }}
{{ include "onepx.env" (dict "name" "ONEPX_EXPORT_CONTACTS_DIR" "value" "/contacts") }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "onepx.jobsMounts" -}}
{{- with .Values.exports -}}
{{- if .existingClaim }}
- {name: exports, mountPath: /exports}
{{- end }}
{{- if .contactsClaim }}
- {name: contacts, mountPath: /contacts, readOnly: true}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "onepx.jobsVolumes" -}}
{{- with .Values.exports -}}
{{- if .existingClaim }}
- name: exports
  persistentVolumeClaim: {claimName: {{ .existingClaim }}}
{{- end }}
{{- if .contactsClaim }}
- name: contacts
  persistentVolumeClaim: {claimName: {{ .contactsClaim }}, readOnly: true}
{{- end }}
{{- end -}}
{{- end -}}
