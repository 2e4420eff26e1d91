{{- define "modelrollout.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "modelrollout.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "modelrollout.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "modelrollout.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{- define "modelrollout.selector" -}}
app.kubernetes.io/name: modelrollout
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "modelrollout.labels" -}}
{{ include "modelrollout.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Secrets with which the operator asks Prometheus: a folder each below /var/run/prometheus. */}}
{{- define "modelrollout.prometheusSecrets" -}}
{{- with .Values.prometheus -}}
{{- dict "bearer" .auth.bearer.secretName "basic" .auth.basic.secretName "ca" .tls.caSecretName "client" .tls.clientSecretName | toJson -}}
{{- end -}}
{{- end -}}

{{- define "modelrollout.prometheusArgs" -}}
{{- $folder := "/var/run/prometheus" -}}
{{- with .Values.prometheus -}}
{{- if and .auth.bearer.secretName .auth.basic.secretName -}}
{{- fail "prometheus.auth: give bearer or basic, not both" -}}
{{- end -}}
{{- if and .tls.insecure .tls.caSecretName -}}
{{- fail "prometheus.tls: caSecretName means nothing with insecure; remove one of them" -}}
{{- end -}}
- --prometheus-url={{ .url }}
{{- if .auth.bearer.secretName }}
- --prometheus-token-file={{ $folder }}/bearer/token
{{- end }}
{{- if .auth.basic.secretName }}
- --prometheus-username-file={{ $folder }}/basic/username
- --prometheus-password-file={{ $folder }}/basic/password
{{- end }}
{{- if .tls.caSecretName }}
- --prometheus-ca-file={{ $folder }}/ca/ca.crt
{{- end }}
{{- if .tls.clientSecretName }}
- --prometheus-cert-file={{ $folder }}/client/tls.crt
- --prometheus-key-file={{ $folder }}/client/tls.key
{{- end }}
{{- if .tls.insecure }}
- --prometheus-insecure
{{- end }}
{{- range $name, $value := .headers }}
- {{ printf "--prometheus-header=%s=%s" $name $value | quote }}
{{- end }}
{{- range .allow }}
- {{ printf "--prometheus-allow=%s" . | quote }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "modelrollout.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "modelrollout.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What the operator may do where it serves rollouts. It never writes what users write: spec and metadata. */}}
{{- define "modelrollout.rules" -}}
- apiGroups: [modelrollout.dev]
  resources: [modelrollouts]
  verbs: [get, list, watch]
- apiGroups: [modelrollout.dev]
  resources: [modelrollouts/status]
  verbs: [patch, update]
# Asked for where the OwnerReferencesPermissionEnforcement plugin is on, by rollouts with deletionPolicy Delete.
- apiGroups: [modelrollout.dev]
  resources: [modelrollouts/finalizers]
  verbs: [update]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
{{- if has "gatewayAPI" .Values.routers }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes]
  verbs: [get, list, watch, create, patch]
{{- end }}
{{- if has "istio" .Values.routers }}
- apiGroups: [networking.istio.io]
  resources: [virtualservices, destinationrules]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if has "traefik" .Values.routers }}
- apiGroups: [traefik.io]
  resources: [traefikservices, ingressroutes]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- if .Values.gates.jobs }}
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, create, delete]
{{- end }}
{{- if .Values.gates.requests }}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
{{- end }}
{{- if .Values.gates.secrets }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}
{{- if .Values.trackConfig }}
- apiGroups: [""]
  resources: [configmaps, secrets]
  verbs: [get, list, watch]
{{- end }}
{{- end -}}
