module modelrollout.dev/lab/gateway-api

go 1.26.0

// Only the CRDs of this module are used: files in its folder, no code.
require sigs.k8s.io/gateway-api v1.6.1
