{{- define "docspace-exporter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* The name of the release's objects. A value of a label has at most 63 characters. */ -}}
{{- define "docspace-exporter.fullname" -}}
{{- $name := include "docspace-exporter.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "docspace-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "docspace-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "docspace-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "docspace-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "docspace-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "docspace-exporter.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "docspace-exporter.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The name of the Secret with the API keys; empty if there is none. */ -}}
{{- define "docspace-exporter.apiKeysSecret" -}}
{{- if and .Values.apiKeys.existingSecret .Values.apiKeys.entries -}}
{{- fail "apiKeys: existingSecret and entries are both set: remove one" -}}
{{- else if .Values.apiKeys.existingSecret -}}
{{- .Values.apiKeys.existingSecret -}}
{{- else if .Values.apiKeys.entries -}}
{{- include "docspace-exporter.fullname" . }}-api-keys
{{- end -}}
{{- end -}}

{{- /* The handler of a probe. Argument: a list of the values and the path. */ -}}
{{- define "docspace-exporter.probe" -}}
{{- $webConfig := (index . 0).webConfig -}}
{{- if $webConfig.clientCertificates -}}
tcpSocket:
  port: metrics
{{- else -}}
httpGet:
  path: {{ index . 1 }}
  port: metrics
  scheme: {{ $webConfig.tls | ternary "HTTPS" "HTTP" }}
{{- end -}}
{{- end -}}

{{- /* The endpoints of a monitor. */ -}}
{{- define "docspace-exporter.endpoints" -}}
{{- $endpoint := dict "port" "metrics" "scheme" (.Values.webConfig.tls | ternary "https" "http") -}}
{{- merge (deepCopy .Values.monitor.endpoint) $endpoint | list | toYaml -}}
{{- end -}}

{{- /* A file that `make chart-files` copies. Argument: a list of the root scope and the name of the file. */ -}}
{{- define "docspace-exporter.file" -}}
{{- $path := printf "files/%s" (index . 1) -}}
{{- (index . 0).Files.Get $path | required (printf "The chart has no %s: run `make chart-files` in the checkout, or install the package that `make chart` builds" $path) -}}
{{- end -}}

{{- /* Fails for an unknown alert. Argument: a list of the rule groups, and a field with a mapping by alert. */ -}}
{{- define "docspace-exporter.knownAlerts" -}}
{{- $alerts := list -}}
{{- range index . 0 -}}
{{- range .rules -}}
{{- with .alert }}{{ $alerts = append $alerts . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $field := index . 1 -}}
{{- range $name, $_ := index . 2 -}}
{{- if not (has $name $alerts) -}}
{{- fail (printf "prometheusRule.%s: unknown alert %s: expected one of %s" $field $name (join ", " $alerts)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* An alert with the overrides of the values, as prometheus/customize.py applies them. Argument: a list of both. */ -}}
{{- define "docspace-exporter.alert" -}}
{{- $rule := deepCopy (index . 0) -}}
{{- $values := index . 1 -}}
{{- $override := get $values.alerts $rule.alert | default dict -}}
{{- $annotations := $rule.annotations | default dict -}}
{{- with $values.runbookBaseURL -}}
{{- $_ := set $annotations "runbook_url" (printf "%s#%s" . (splitList "#" $annotations.runbook_url | last)) -}}
{{- end -}}
{{- with $values.dashboardURL -}}
{{- $separator := contains "?" . | ternary "&" "?" -}}
{{- $parameter := printf "{{ with $labels.portal }}%svar-portal={{ . | urlquery }}{{ end }}" $separator -}}
{{- $_ := set $annotations "dashboard_url" (print . $parameter) -}}
{{- end -}}
{{- $labels := mergeOverwrite ($rule.labels | default dict) $values.extraLabels ($override.labels | default dict) -}}
{{- with $override.severity }}{{ $_ := set $labels "severity" . }}{{ end -}}
{{- with get $override "for" }}{{ $_ := set $rule "for" . }}{{ end -}}
{{- mergeOverwrite $rule (dict "labels" $labels "annotations" $annotations) | toYaml -}}
{{- end -}}
