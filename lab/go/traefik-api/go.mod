module modelrollout.dev/lab/traefik-api

go 1.26.0

// Only the CRDs of this module are used: a file in its folder, no code. The program itself comes from PyPI.
require github.com/traefik/traefik/v3 v3.7.13
