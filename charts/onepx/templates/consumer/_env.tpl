{{/* What all must agree on who move the group's positions: consumer and jobs. */}}
{{- define "onepx.groupEnv" -}}
{{ include "onepx.env" (dict "name" "ONEPX_CONSUMER_GROUP" "value" .Values.consumer.group) }}
{{ include "onepx.env" (dict "name" "ONEPX_INSERT_DEADLINE" "value" (printf "%ds" (int .Values.consumer.insertDeadlineSeconds))) }}
{{- end -}}

{{/* Consumer and jobs read the file when they start, so a changed one restarts them. Collectors and consoles take it over while they run. */}}
{{- define "onepx.sitesChecksum" -}}
{{- $annotations := dict -}}
{{- with .Values.siteConfig.file }}{{ $_ := set $annotations "checksum/sites" (sha256sum .) }}{{ end -}}
{{- toJson $annotations -}}
{{- end -}}
