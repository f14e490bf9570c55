{{/* What a schema cannot say: settings that contradict each other, each with the way out. */}}
{{- define "onepx.checks" -}}
{{- $errors := list -}}
{{- if not .Values.secret.existingSecret -}}
{{- $errors = append $errors "secret.existingSecret is empty: make a Secret with `openssl rand -hex 32` under the key ONEPX_SECRET and name it" -}}
{{- end -}}
{{- if not .Values.kafka.brokers -}}
{{- $errors = append $errors "kafka.brokers is empty: name at least one, as kafka.brokers[0]=kafka:9092" -}}
{{- end -}}
{{- if not .Values.clickhouse.addresses -}}
{{- $errors = append $errors "clickhouse.addresses is empty: name at least one, as clickhouse.addresses[0]=clickhouse:9000" -}}
{{- end -}}
{{- if ne (empty .Values.clickhouse.cluster) (empty .Values.clickhouse.shards) -}}
{{- $errors = append $errors "clickhouse.cluster and clickhouse.shards need each other: name the addresses of each shard, as clickhouse.shards[0]=\"chi-0-0:9000|chi-0-1:9000\"" -}}
{{- end -}}
{{- if and .Values.clickhouse.shards (lt (int .Values.topics.partitions) (len .Values.clickhouse.shards)) -}}
{{- $errors = append $errors (printf "%d partitions for %d shards: some would stay empty; raise topics.partitions" (int .Values.topics.partitions) (len .Values.clickhouse.shards)) -}}
{{- end -}}
{{- $partitions := int .Values.topics.partitions -}}
{{- with .Values.consumer -}}
{{- if and .hpa.enabled .keda.enabled -}}
{{- $errors = append $errors "consumer.hpa and consumer.keda are both enabled: two autoscalers would fight over one Deployment, choose one" -}}
{{- end -}}
{{- $most := int .replicas -}}
{{- if .hpa.enabled }}{{ $most = int .hpa.maxReplicas }}{{ else if .keda.enabled }}{{ $most = int .keda.maxReplicas }}{{ end -}}
{{- if gt $most $partitions -}}
{{- $errors = append $errors (printf "%d consumers for %d partitions: those without a partition would be idle; lower consumer.replicas or maxReplicas, or set topics.partitions to what the topic has" $most $partitions) -}}
{{- end -}}
{{- $timeout := .settings.ONEPX_SESSION_TIMEOUT | default "45s" -}}
{{- if and (regexMatch "^[0-9]+s$" $timeout) (gt (mul 2 (int .insertDeadlineSeconds)) (trimSuffix "s" $timeout | int64)) -}}
{{- $errors = append $errors (printf "consumer.insertDeadlineSeconds %d is more than half of ONEPX_SESSION_TIMEOUT %s: raise that in consumer.settings" (int .insertDeadlineSeconds) $timeout) -}}
{{- end -}}
{{- range $scaler := list "hpa" "keda" -}}
{{- $s := get $.Values.consumer $scaler -}}
{{- if and $s.enabled (gt (int $s.minReplicas) (int $s.maxReplicas)) -}}
{{- $errors = append $errors (printf "consumer.%s.minReplicas is above maxReplicas" $scaler) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $component := list "collector" "console" -}}
{{- $hpa := (get $.Values $component).hpa -}}
{{- if and $hpa.enabled (gt (int $hpa.minReplicas) (int $hpa.maxReplicas)) -}}
{{- $errors = append $errors (printf "%s.hpa.minReplicas is above maxReplicas" $component) -}}
{{- end -}}
{{- end -}}
{{- with .Values.collector -}}
{{- $size := .spool.volumeSize -}}
{{- $mebibytes := mul (regexFind "^[0-9]+" $size | int64) (get (dict "Mi" 1 "Gi" 1024 "Ti" 1048576) (regexFind "[A-Z]i$" $size)) -}}
{{- if and .spool.enabled (le $mebibytes (div (int64 .spool.quotaBytes) 1048576)) -}}
{{- $errors = append $errors (printf "collector.spool.volumeSize %s is not above quotaBytes %d: the disk would be full before the spool is" $size (int64 .spool.quotaBytes)) -}}
{{- end -}}
{{- $least := int .replicas -}}
{{- if .hpa.enabled }}{{ $least = int .hpa.minReplicas }}{{ end -}}
{{- range .spool.drain -}}
{{- if lt (int .) $least -}}
{{- $errors = append $errors (printf "collector.spool.drain names %d, whose collector runs: only ordinals from %d on can be drained" (int .) $least) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.kafka.saslMechanism (not .Values.kafka.tls.enabled) (eq .Values.kafka.saslMechanism "plain") -}}
{{- $errors = append $errors "kafka.saslMechanism plain shows passwords to whoever reads the connection: enable kafka.tls, or use scram-sha-512" -}}
{{- end -}}
{{- range $user := list "collector" "consumer" "jobs" "console" "prepare" -}}
{{- $login := include "onepx.user" (dict "of" $.Values.kafka.users "user" $user) | fromJson -}}
{{- if and $.Values.kafka.saslMechanism (or (not $login.username) (not $login.existingSecret)) -}}
{{- $errors = append $errors (printf "kafka.saslMechanism is set, but kafka.users.%s (or .default) lacks username or existingSecret" $user) -}}
{{- end -}}
{{- if and $login.certSecret (not $.Values.kafka.tls.enabled) -}}
{{- $errors = append $errors (printf "kafka.users.%s (or .default) has a certSecret, which needs kafka.tls.enabled" $user) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.siteConfig.file .Values.siteConfig.existingConfigMap -}}
{{- $errors = append $errors "siteConfig.file and siteConfig.existingConfigMap are both set: choose one" -}}
{{- else if .Values.siteConfig.file -}}
{{- $parsed := fromYaml .Values.siteConfig.file -}}
{{- if not (kindIs "slice" $parsed.sites) -}}
{{- $errors = append $errors (printf "siteConfig.file is no onepx.yaml: it must be YAML with a list `sites`, see docs/configuration.md %s" ($parsed.Error | default "")) -}}
{{- else if not $parsed.sites -}}
{{- $errors = append $errors "siteConfig.file has no site" -}}
{{- end -}}
{{- else if not .Values.siteConfig.existingConfigMap -}}
{{- $errors = append $errors "no site configuration: give it with --set-file siteConfig.file=onepx.yaml, or name a ConfigMap in siteConfig.existingConfigMap" -}}
{{- end -}}
{{- if and .Values.tasks.rates.enabled (not .Values.tasks.rates.fetch.image) -}}
{{- $errors = append $errors "tasks.rates is enabled, but tasks.rates.fetch.image names no image that can fetch the file" -}}
{{- end -}}
{{- range $component := list "collector" "console" -}}
{{- $routes := get $.Values $component -}}
{{- if and $routes.gateway.enabled (not $routes.gateway.parentRefs) -}}
{{- $errors = append $errors (printf "%s.gateway is enabled, but parentRefs names no Gateway" $component) -}}
{{- end -}}
{{- if and $routes.ingress.enabled (not $routes.ingress.hosts) -}}
{{- $errors = append $errors (printf "%s.ingress is enabled, but hosts is empty" $component) -}}
{{- end -}}
{{- end -}}
{{- if $errors -}}
{{- fail (printf "\n\n- %s\n" (join "\n- " $errors)) -}}
{{- end -}}
{{- end -}}
