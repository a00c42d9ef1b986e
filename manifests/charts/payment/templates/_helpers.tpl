{{/* Labels every object carries. */}}
{{- define "payment.labels" -}}
{{ include "payment.selectorLabels" . }}
app.kubernetes.io/part-of: shop
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "payment.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
{{- end }}
