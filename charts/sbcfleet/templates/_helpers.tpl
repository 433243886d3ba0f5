{{/*
Rules in the CRDs need 1.29, selectable fields 1.31. `kubeVersion` in Chart.yaml would refuse every `helm template` of a Helm that was
built without the version of its Kubernetes libraries, since that takes clusters for 1.20; no cluster of that age is asked for a chart.
*/}}
{{- define "sbcfleet.checkCluster" -}}
{{- if semverCompare ">=1.21.0-0 <1.31.0-0" .Capabilities.KubeVersion.Version }}
{{- fail (printf "sbcfleet needs Kubernetes 1.31 or newer, and this cluster has %s" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- end }}

{{- define "sbcfleet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "sbcfleet.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "sbcfleet.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "sbcfleet.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "sbcfleet.selector" -}}
app.kubernetes.io/name: {{ include "sbcfleet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "sbcfleet.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "sbcfleet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: sbcfleet
{{- end }}

{{- define "sbcfleet.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "sbcfleet.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "sbcfleet.controlService" -}}
{{ include "sbcfleet.fullname" . }}-control
{{- end }}

{{- define "sbcfleet.tlsSecret" -}}
{{ default (printf "%s-control-tls" (include "sbcfleet.fullname" .)) .Values.tls.secretName }}
{{- end }}

{{- /* An image; takes a list of the image's values and the appVersion. */}}
{{- define "sbcfleet.image" -}}
{{- $image := index . 0 }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default (index . 1) $image.tag) }}
{{- end }}
{{- end }}

{{- define "sbcfleet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "sbcfleet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* What the operator does in the namespaces of fleets. */}}
{{- define "sbcfleet.fleetRules" -}}
- apiGroups: [sbcfleet.dev]
  resources: [voiceservices, siptrunks]
  verbs: [get, list, watch]
- apiGroups: [sbcfleet.dev]
  resources: [siptrunks]
  verbs: [patch]
- apiGroups: [sbcfleet.dev]
  resources: [voiceservices/status, siptrunks/status]
  verbs: [get, patch]
# Owners that block their deletion ask for this.
- apiGroups: [sbcfleet.dev]
  resources: [voiceservices/finalizers]
  verbs: [update]
# Credentials of SipTrunks.
- apiGroups: ['']
  resources: [secrets]
  verbs: [get, list, watch]
# What fleets are made of. It is never deleted here: it goes with its VoiceService.
- apiGroups: ['']
  resources: [configmaps, services, serviceaccounts]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
# What is told to users; and why pods cannot be made.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, create, patch]
{{- end }}
