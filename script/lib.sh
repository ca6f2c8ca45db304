# What script/server and script/test share: where the tree is, the packages they need, configuring and building.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=${QUARTET_JOBS:-$(nproc)}

server_packages=(g++ cmake ninja-build pkg-config libuv1-dev libfmt-dev libtomlplusplus-dev liblua5.1-0-dev lua-cjson-dev
                 libssl-dev libjemalloc-dev liblzf-dev)
test_packages=(catch2 libbenchmark-dev libhiredis-dev openssl redis-server redis-tools memcached libmemcached-tools python3-venv)

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# Runs a command as root: directly, or through sudo, which may ask for a password only where somebody can answer.
as_root() {
  if [[ $EUID -eq 0 ]]; then "$@"
  elif [[ -t 0 ]]; then sudo "$@"
  else sudo -n "$@"
  fi
}

# Those of the given packages that are not installed.
missing_packages() {
  local installed
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | sed -n 's/ installed$//p' || true)
  comm -23 <(printf '%s\n' "$@" | sort -u) <(sort -u <<<"$installed")
}

# Debian starts a service as its package is installed, and those of redis-server and memcached would take ports 6379 and
# 11211. A policy forbids starts while packages are installed, and the units are disabled, so that they do not come up with the
# next boot either.
install_packages() {
  local policy=/usr/sbin/policy-rc.d own_policy=no status=0
  if [[ ! -e $policy ]]; then
    own_policy=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  { as_root apt-get update -q &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } </dev/null >&2 || status=$?
  [[ $own_policy == no ]] || as_root rm -f "$policy"
  local service
  for service in redis-server memcached; do
    if [[ $status -eq 0 && " $* " == *" $service "* && -d /run/systemd/system ]]; then
      as_root systemctl disable --now "$service.service" >&2 || status=$?
    fi
  done
  return "$status"
}

# Installs those of the given packages that are missing.
need_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "This is not a Debian system. Needed are what Debian 12 calls: $*"
    return
  fi
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [[ ${#missing[@]} -gt 0 ]] || return 0
  say "Installing with apt-get: ${missing[*]}"
  install_packages "${missing[@]}" || fail "apt-get could not install: ${missing[*]}"
}

# configure PRESET [CMAKE-OPTION...]
configure() {
  (cd "$root" && cmake --preset "$@") >&2 || fail "cmake --preset $* failed"
}

# build PRESET [CMAKE-BUILD-OPTION...]
build() {
  (cd "$root" && cmake --build --preset "$@" --parallel "$jobs") >&2 || fail "cmake --build --preset $* failed"
}
