{{/* The chart's name, for labels. */}}
{{- define "socketio-affinity.name" -}}
{{- default .Chart.Name .Values.nameOverride }}
{{- end }}

{{/* The name of what the chart makes. 40 characters leave room for suffixes. */}}
{{- define "socketio-affinity.fullname" -}}
{{- $name := include "socketio-affinity.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "socketio-affinity.selectorLabels" -}}
app.kubernetes.io/name: {{ include "socketio-affinity.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of everything but pods. */}}
{{- define "socketio-affinity.labels" -}}
app.kubernetes.io/name: {{ include "socketio-affinity.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "socketio-affinity.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "socketio-affinity.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "socketio-affinity.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}

{{- define "socketio-affinity.sidecarImage" -}}
{{- printf "%s:%s" .Values.sidecar.image.repository (default .Chart.AppVersion .Values.sidecar.image.tag) }}
{{- end }}

{{/* The restricted Pod Security Standard, as pods say it. */}}
{{- define "socketio-affinity.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The same, as containers say it. */}}
{{- define "socketio-affinity.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end }}

{{/* Where and from which image pods run: the operator's, and those of the hooks. */}}
{{- define "socketio-affinity.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
What the operator does in the namespaces it works in. docs/install.md says what for. It deletes
next to nothing: what it made goes with the SocketIoCluster that owns it.
*/}}
{{- define "socketio-affinity.rules" -}}
- apiGroups: [socketio-affinity.dev]
  resources: [socketioclusters/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/*
CEL: the maps `is` and `was` are the same, but for the keys that `free` lets be.
Expects a dict of is, was and free, an expression in k.
*/}}
{{- define "socketio-affinity.same" -}}
{{ .is }}.all(k, {{ .free }} || (k in {{ .was }} && {{ .is }}[k] == {{ .was }}[k]))
&& {{ .was }}.all(k, {{ .free }} || k in {{ .is }})
{{- end }}

{{/* CEL: the annotations that edges are told by, as a list without its brackets. A test of the operator holds it. */}}
{{- define "socketio-affinity.edgeAnnotations" -}}
{{- $names := list -}}
{{- range list "affinity" "affinity-mode" "configuration-snippet" "proxy-next-upstream" "proxy-read-timeout" "proxy-send-timeout" "session-cookie-change-on-failure" "session-cookie-name" "session-cookie-samesite" "session-cookie-secure" "upstream-hash-by" -}}
{{- $names = append $names (printf "'nginx.ingress.kubernetes.io/%s'" .) -}}
{{- end -}}
{{- join ", " $names -}}
{{- end }}

{{/* Values that those annotations may get: no quotes, semicolons, braces (but of variables) or new lines. */}}
{{- define "socketio-affinity.plainValue" -}}
^([A-Za-z0-9_$./:~ -]|[$][{][A-Za-z0-9_]+[}])*$
{{- end }}

{{/* Annotations of what checks before an uninstallation; nothing of it is left. Expects the weight. */}}
{{- define "socketio-affinity.uninstallHook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end }}
