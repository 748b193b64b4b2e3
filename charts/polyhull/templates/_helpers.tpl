{{- define "polyhull.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "polyhull.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "polyhull.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "polyhull.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Cluster-scoped names carry the namespace: two releases of one name in two namespaces must not share a role. */}}
{{- define "polyhull.clusterName" -}}
{{- if eq .Release.Namespace (printf "%s-system" (include "polyhull.fullname" .)) -}}
{{- include "polyhull.fullname" . -}}
{{- else -}}
{{- printf "%s-%s" (include "polyhull.fullname" .) .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{- define "polyhull.selectorLabels" -}}
app.kubernetes.io/name: {{ include "polyhull.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "polyhull.labels" -}}
app.kubernetes.io/name: {{ include "polyhull.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: polyhull
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "polyhull.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "polyhull.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "polyhull.image" -}}
{{- $image := .Values.image -}}
{{- $name := $image.repository -}}
{{- if $image.registry -}}{{- $name = printf "%s/%s" $image.registry $image.repository -}}{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "polyhull.keep" -}}
{{- if .Values.crds.keep -}}
helm.sh/resource-policy: keep
{{- end -}}
{{- end -}}

{{/*
Objects of kinds that this very release brings. Helm must know a kind before it takes the first object, so in the
release that installs the CRDs they are created by a hook after them. Later releases find the kind served and own them
as usual: the hook's object carries Helm's ownership already. Never deleted in between, because an operator that finds
no policy for a moment would act on the defaults.
*/}}
{{- define "polyhull.seedAnnotations" -}}
meta.helm.sh/release-name: {{ .Release.Name }}
meta.helm.sh/release-namespace: {{ .Release.Namespace }}
{{- with include "polyhull.keep" . }}
{{ . }}
{{- end }}
{{- if not (.Capabilities.APIVersions.Has "polyhull.io/v1alpha1/PlacementPolicy") }}
helm.sh/hook: post-install
helm.sh/hook-delete-policy: hook-failed
{{- end -}}
{{- end -}}

{{/* What work in a cluster needs to read: nodes, what runs on them, and what became of ours. */}}
{{- define "polyhull.readRules" -}}
- apiGroups: [""]
  resources: [nodes, namespaces, pods]
  verbs: [list, watch]
# Warnings that say why a pod is not made or cannot start.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, watch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services, persistentvolumeclaims]
  verbs: [get, list, watch]
{{- end -}}

{{/* What work in a cluster needs to write. Server-side apply is `patch`, and `create` for what is not there yet. */}}
{{- define "polyhull.workRules" -}}
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [create, patch, delete]
- apiGroups: [""]
  resources: [services, persistentvolumeclaims]
  verbs: [create, patch, delete]
# Owned by its Job, and gone with it.
- apiGroups: [scheduling.k8s.io]
  resources: [podgroups]
  verbs: [create, patch]
- apiGroups: [multicluster.x-k8s.io]
  resources: [serviceexports]
  verbs: [create, patch]
{{- end -}}

{{/* The kinds the guard watches our accounts write. */}}
{{- define "polyhull.guardedResources" -}}
- apiGroups: [batch]
  apiVersions: ["*"]
  operations: [CREATE, UPDATE, DELETE]
  resources: [jobs]
- apiGroups: [apps]
  apiVersions: ["*"]
  operations: [CREATE, UPDATE, DELETE]
  resources: [deployments]
- apiGroups: [""]
  apiVersions: ["*"]
  operations: [CREATE, UPDATE, DELETE]
  resources: [services, persistentvolumeclaims]
- apiGroups: [scheduling.k8s.io]
  apiVersions: ["*"]
  operations: [CREATE, UPDATE, DELETE]
  resources: [podgroups]
- apiGroups: [multicluster.x-k8s.io]
  apiVersions: ["*"]
  operations: [CREATE, UPDATE, DELETE]
  resources: [serviceexports]
{{- end -}}

{{- define "polyhull.guardRules" -}}
- expression: >-
    (object == null || (has(object.metadata.labels) && object.metadata.labels[?'app.kubernetes.io/managed-by'].orValue('') == 'polyhull'))
    && (oldObject == null || (has(oldObject.metadata.labels) && oldObject.metadata.labels[?'app.kubernetes.io/managed-by'].orValue('') == 'polyhull'))
  message: Polyhull's account may only write objects that are labelled app.kubernetes.io/managed-by=polyhull, before and after
  reason: Forbidden
- expression: >-
    !(request.namespace in [{{ range $index, $name := append .Values.guard.protectedNamespaces .Release.Namespace | uniq }}{{ if $index }}, {{ end }}'{{ $name }}'{{ end }}])
  message: Polyhull's account may not write in this namespace; see guard.protectedNamespaces of its chart
  reason: Forbidden
{{- end -}}
