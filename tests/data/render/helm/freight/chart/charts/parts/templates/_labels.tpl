{{- define "parts.labels" -}}
chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
release: {{ .Release.Name }}
{{- range $key, $value := (.Values.global).labels }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end -}}
