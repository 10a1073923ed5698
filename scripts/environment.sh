# Sourced by the other scripts: creates .venv if missing, installs the project, activates it.
# PYTHON: the interpreter (default python3). EXTRAS: the extras to install (default none).
# TORCH_INDEX: the package index for PyTorch. Default: on Linux without an NVIDIA GPU, the index of
# PyTorch's CPU builds (a tenth of the size) if it is reachable; otherwise pip's default.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
wanted="$(cksum < pyproject.toml) ${EXTRAS:-}"
if [ ! -e .venv/pyvenv.cfg ]; then
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
        echo "Python 3.10 or later is needed; choose one with PYTHON=python3.12 bash $0" >&2
        exit 2
    }
    "${PYTHON:-python3}" -m venv .venv
fi
programs=.venv/bin
[ -d "$programs" ] || programs=.venv/Scripts # Windows
python=$programs/python
# An installation that already matches pyproject.toml is used as it is, also offline.
if ! grep -qxF "$wanted" .venv/installed 2>/dev/null; then
    echo "Installing into .venv (the first time this fetches PyTorch: some minutes) ..."
    if ! "$python" -c 'import torch' 2>/dev/null; then
        index=${TORCH_INDEX:-}
        if [ -z "$index" ] && [ "$(uname -s)" = Linux ] && [ ! -e /dev/nvidia0 ] &&
            ! command -v nvidia-smi >/dev/null; then
            index=https://download.pytorch.org/whl/cpu
            # Check that it is reachable: if only a mirror is, this fails in seconds, not minutes.
            "$python" -c 'import sys, urllib.request as web
web.urlopen(sys.argv[1] + "/torch/", timeout=5).close()' "$index" 2>/dev/null || index=
        fi
        if [ -n "$index" ]; then
            "$python" -m pip install --quiet --disable-pip-version-check --index-url "$index" \
                torch torchvision || {
                [ -z "${TORCH_INDEX:-}" ] || exit 1 # an explicit index must not fail silently
            }
        fi
    fi
    "$python" -m pip install --quiet --disable-pip-version-check -e ".${EXTRAS:+[$EXTRAS]}"
    echo "$wanted" >> .venv/installed
fi
PATH="$PWD/$programs:$PATH"
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}"  # nothing here downloads weights
