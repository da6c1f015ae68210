{{/* Name of the release's objects, at most 50 characters: the longest suffix is "-inventory-grpc". */}}
{{- define "oneshelf.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 46 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels by which the pods of one component are found. These never change. Takes root and component. */}}
{{- define "oneshelf.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "oneshelf.labels" -}}
{{ include "oneshelf.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: oneshelf
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* name, namespace, labels and annotations of an object. Takes root, component, name and maybe annotations. */}}
{{- define "oneshelf.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "oneshelf.labels" . | nindent 2 }}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "oneshelf.image" -}}
{{- $repository := .Values.image.repository -}}
{{- if .Values.image.registry -}}{{- $repository = printf "%s/%s" .Values.image.registry $repository -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The services that run, each with the defaults filled in, as JSON: include and fromJson. */}}
{{- define "oneshelf.services" -}}
{{- $services := dict -}}
{{- range $name, $own := .Values.services -}}
{{- $service := mergeOverwrite (deepCopy $.Values.defaults) (default dict $own) -}}
{{- if $service.enabled -}}
{{- if le (int $service.terminationGracePeriodSeconds) (add (int $service.preStopSleepSeconds) (int $service.drainSeconds) | int) -}}
{{- fail (printf "services.%s: terminationGracePeriodSeconds must exceed preStopSleepSeconds + drainSeconds, or pods are killed while they drain" $name) -}}
{{- end -}}
{{- if and $service.autoscaling.enabled (gt (int $service.autoscaling.minReplicas) (int $service.autoscaling.maxReplicas)) -}}
{{- fail (printf "services.%s.autoscaling: minReplicas must not exceed maxReplicas" $name) -}}
{{- end -}}
{{- $_ := set $services $name $service -}}
{{- end -}}
{{- end -}}
{{- if not $services -}}{{- fail "services: at least one must be enabled" -}}{{- end -}}
{{- toJson $services -}}
{{- end -}}

{{- define "oneshelf.serviceAccountName" -}}
{{- if .service.serviceAccount.create -}}
{{- default (printf "%s-%s" (include "oneshelf.fullname" .root) .component) .service.serviceAccount.name -}}
{{- else -}}
{{- default "default" .service.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* One environment variable from a Secret. Takes root, variable, part (existingSecret, key) and maybe a default key. */}}
{{- define "oneshelf.secretEnv" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ default .root.Values.secrets.existingSecret .part.existingSecret | required (printf "secrets.existingSecret is empty, and the part for %s names no Secret either" .variable) }}
      key: {{ default .key .part.key }}
{{- end -}}

{{/* What every process needs: addresses, secrets, its databases. Takes root, services (all that run), databases (names)
     and env (a map). */}}
{{- define "oneshelf.env" -}}
{{- $root := .root -}}
{{- $secrets := .root.Values.secrets -}}
{{- include "oneshelf.secretEnv" (dict "root" $root "variable" "ONESHELF__ACCESS__DATABASE__URL" "part" $secrets.accessDatabaseUrl) }}
{{ include "oneshelf.secretEnv" (dict "root" $root "variable" "ONESHELF__ACCESS__PEPPER" "part" $secrets.accessPepper) }}
{{ include "oneshelf.secretEnv" (dict "root" $root "variable" "ONESHELF__QUOTES__KEY" "part" $secrets.quotesKey) }}
{{ include "oneshelf.secretEnv" (dict "root" $root "variable" "ONESHELF__REDIS__URL" "part" $secrets.redisUrl) }}
{{ include "oneshelf.secretEnv" (dict "root" $root "variable" "ONESHELF__RABBITMQ__URL" "part" $secrets.rabbitmqUrl) }}
{{- range $name := .databases }}
{{- $service := index $.services $name }}
{{ include "oneshelf.secretEnv" (dict "root" $root "variable" (printf "ONESHELF__%s__DATABASE__URL" (upper $name)) "part" $service.databaseUrl "key" (printf "%s-database-url" $name)) }}
{{- end }}
{{- range $variable, $value := .env }}
- name: {{ $variable }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}
