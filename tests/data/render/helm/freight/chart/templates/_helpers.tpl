{{- define "freight.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- define "freight.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ printf "%s-%s" .Release.Name (include "freight.name" .) }}{{ end }}
{{- end }}
{{- define "freight.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- define "freight.mutate" -}}
{{- $_ := set .box "label" (printf "%s!" .box.label) -}}
{{- end }}
