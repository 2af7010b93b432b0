# shellcheck shell=bash
# A region's JetStream data while its nats-server is stopped: how to stop it, touch the files, and start it again.

nats_stop() {
  case $TARGET in
    dev) chaos stop "$1-nats" ;;
    linux) stop_process "$1" nats ;;
    kubernetes) scale_to_none "$1" nats ;;
  esac
}

nats_start() {
  case $TARGET in
    dev) chaos start "$1-nats" ;;
    linux) start_process "$1" nats ;;
    kubernetes) scale_to_one "$1" nats ;;
  esac
}

# The folder of JetStream, as the text for with_data sees it.
data_folder() {
  case $TARGET in
    dev) if $DRY; then printf '<data>/regions/%s/nats' "$1"; else setting "$1" nats.data; fi ;;
    linux) setting "$1" nats.data ;;
    kubernetes) printf /data ;;
  esac
}

with_data() { # REGION SCRIPT: runs a text where the data is; on Kubernetes in a pod that has the volume, while nats-server has not
  case $TARGET in
    dev) on here "$2" ;;
    linux) on "$1" "$2" ;;
    kubernetes)
      local pod="ovation-chaos-$1" command
      command=$(kube "$1")
      on here "$command delete pod $pod --ignore-not-found
$command apply -f - <<'JSON'
{
  \"apiVersion\": \"v1\",
  \"kind\": \"Pod\",
  \"metadata\": { \"name\": \"$pod\", \"labels\": { \"app.kubernetes.io/part-of\": \"ovation-chaos\" } },
  \"spec\": {
    \"restartPolicy\": \"Never\",
    \"terminationGracePeriodSeconds\": 1,
    \"volumes\": [{ \"name\": \"data\", \"persistentVolumeClaim\": { \"claimName\": \"$(setting "$1" nats.claim 'data-ovation-nats-{region}-0')\" } }],
    \"containers\": [{
      \"name\": \"chaos\",
      \"image\": \"$(setting "$1" shell.image debian:stable-slim)\",
      \"command\": [\"sleep\", \"600\"],
      \"volumeMounts\": [{ \"name\": \"data\", \"mountPath\": \"/data\" }]
    }]
  }
}
JSON
$command wait --for=condition=Ready pod/$pod --timeout=$CONVERGE
code=0
$command exec $pod -- sh -c $(printf %q "set -eu
$2") || code=\$?
$command delete pod $pod --wait=true
exit \$code"
      ;;
  esac
}

# Files are touched only once nobody has them open; the server is started in any case.
with_nats_stopped() { # REGION SCRIPT: runs a text in the folder of the data, between a stop and a start
  local failed=0
  { nats_stop "$1" && with_data "$1" "cd '$(data_folder "$1")'; $2"; } || failed=1
  nats_start "$1" || failed=1
  return $failed
}
