"""The lab's command line: `python3 -m lab {assets,up,down,status,env,demo}`."""

import argparse
import sys
from collections.abc import Callable

from lab import commands
from lab.demo.command import add_options
from lab.errors import LabError, StepError
from lab.paths import Paths

COMMANDS: dict[str, tuple[Callable[[Paths, argparse.Namespace], int], str]] = {
    "assets": (commands.assets, "build etcd, kube-apiserver and kubectl, print their folder (no root needed)"),
    "up": (commands.up, "boot the cluster and what runs in it, or repair it; prints the kubeconfig's path"),
    "down": (commands.down, "end the cluster; the cache of programs and images stays"),
    "status": (commands.status, "tell which parts run"),
    "env": (commands.env, 'print KUBECONFIG and PATH for a shell: eval "$(python3 -m lab env)"'),
    "demo": (commands.demo, "watch a good version take over and a bad one be rolled back, both by themselves"),
}


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = argparse.ArgumentParser(prog="python3 -m lab", description="A real one-node Kubernetes on one Linux machine.")
    subparsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        sub = subparsers.add_parser(name, help=text, description=text)
        if name == "up":
            sub.add_argument(
                "--bare", action="store_true", help="only the cluster and its DNS, no gateway, Prometheus or operator"
            )
        if name == "down":
            sub.add_argument("--purge", action="store_true", help="also remove the loaded images (the cache stays)")
        if name == "status":
            sub.add_argument("-o", "--output", choices=("text", "json"), default="text")
        if name == "demo":
            add_options(sub)
    return top


def main() -> int:
    """Run one command; an error is one line, a failed step also shows its log's end."""
    arguments = parser().parse_args()
    run = COMMANDS[arguments.command][0]
    try:
        return run(Paths.from_environment(), arguments)
    except StepError as error:
        print(f"\n{error.tail}\n\nlab: {error}; full log: {error.log}", file=sys.stderr)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"\nlab: interrupted; `python3 -m lab {arguments.command}` goes on from here", file=sys.stderr)
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
