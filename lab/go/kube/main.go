// Command kube is a whole Kubernetes in one file: the name it is called by
// (argv[0]) or else its first argument chooses the program.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Only the chosen command may be constructed: two of them in one process each
// install the signal handler, and the second one panics. Hence functions.
var commands = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kube-proxy":              proxy.NewProxyCommand,
}

func main() {
	name, args := program(os.Args)
	os.Args = append([]string{name}, args...)
	switch construct, known := commands[name]; {
	case known:
		os.Exit(cli.Run(construct()))
	case name == "etcd":
		etcdmain.Main(os.Args)
	case name == "kubectl":
		// Plugins and error codes need kubectl's own way of ending.
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err)
		}
	default:
		fmt.Fprintf(os.Stderr, "kube: unknown program %q, expected one of: %s\n", name, strings.Join(names(), ", "))
		os.Exit(2)
	}
}

// program splits argv into the program's name and its arguments.
func program(argv []string) (string, []string) {
	name := filepath.Base(argv[0])
	if slices.Contains(names(), name) || len(argv) < 2 {
		return name, argv[1:]
	}
	return argv[1], argv[2:]
}

func names() []string {
	all := []string{"etcd", "kubectl"}
	for name := range commands {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
