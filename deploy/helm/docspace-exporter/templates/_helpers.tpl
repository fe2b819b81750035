{{- /* The release's name for its objects; at most 63 characters, as a label takes. */ -}}
{{- define "docspace-exporter.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "docspace-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
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

{{- /* The Secret with the API keys; empty where there is none. */ -}}
{{- define "docspace-exporter.apiKeysSecret" -}}
{{- if and .Values.apiKeys.existingSecret .Values.apiKeys.entries -}}
{{- fail "apiKeys: existingSecret and entries are both given: keep one" -}}
{{- else if .Values.apiKeys.existingSecret -}}
{{- .Values.apiKeys.existingSecret -}}
{{- else if .Values.apiKeys.entries -}}
{{- include "docspace-exporter.fullname" . }}-api-keys
{{- end -}}
{{- end -}}

{{- /* What a probe does. Takes a list: the top of the values, and the path to ask for. */ -}}
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

{{- /* Where a monitor scrapes. */ -}}
{{- define "docspace-exporter.endpoints" -}}
{{- $endpoint := dict "port" "metrics" "scheme" (.Values.webConfig.tls | ternary "https" "http") -}}
{{- merge (deepCopy .Values.monitor.endpoint) $endpoint | list | toYaml -}}
{{- end -}}

{{- /* A file that `make chart-files` brings. Takes a list: the top of the scope, and the file's name. */ -}}
{{- define "docspace-exporter.file" -}}
{{- $path := printf "files/%s" (index . 1) -}}
{{- (index . 0).Files.Get $path | required (printf "The chart has no %s: run `make chart-files` in the checkout, or install the package that `make chart` builds" $path) -}}
{{- end -}}

{{- /* Fails for an alert that there is none of. Takes a list: the groups of rules, and a map whose names are alerts. */ -}}
{{- define "docspace-exporter.knownAlerts" -}}
{{- $alerts := list -}}
{{- range index . 0 -}}
{{- range .rules -}}
{{- with .alert }}{{ $alerts = append $alerts . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := index . 1 -}}
{{- if not (has $name $alerts) -}}
{{- fail (printf "prometheusRule.disabled: there is no alert %s; the alerts are %s" $name (join ", " $alerts)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
