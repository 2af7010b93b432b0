# shellcheck shell=bash
# Network faults inside pods: a debug container shares the network of each pod of a region and of its NATS, and may change it.

in_pods() { # REGION SCRIPT: a text for sh, run in all of them
  local command image
  command=$(kube "$1")
  image=$(setting "$1" tools.image 'nicolaka/netshoot')
  on here "for pod in \$($command get pods -l '$(selector "$1" region)' -o name) \$($command get pods -l '$(selector "$1" nats)' -o name); do
  $command debug \"\$pod\" --quiet --attach --profile=netadmin --image=$image -- sh -c $(printf %q "$2")
done"
}
