module modelrollout.dev/lab/istio-api

go 1.26.0

// Only the CRDs of this module are used: a file in its folder, no code.
require istio.io/api v1.31.1
