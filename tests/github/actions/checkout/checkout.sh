set -euo pipefail
from="file://$LOCAL_HUB/github.git"
find . -mindepth 1 -delete
git init --quiet --initial-branch=main .
git remote add origin "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY"
if [ "$PERSIST" = true ]; then # as the real one does: whoever reads .git/config has the token
  git config "http.$GITHUB_SERVER_URL/.extraheader" "AUTHORIZATION: basic $(printf 'x-access-token:%s' "$TOKEN" | base64 -w0)"
fi
wanted="$GITHUB_SHA"
if [ -n "$REF" ]; then
  wanted=$(git ls-remote "$from" "refs/heads/$REF" "refs/tags/$REF" "$REF" | head -1 | cut -f1)
  wanted=${wanted:-$REF}
fi
if [ "$DEPTH" = 0 ]; then
  git fetch --quiet "$from" '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*' "$wanted"
else
  git fetch --quiet --no-tags --depth="$DEPTH" "$from" "$wanted"
fi
if [ -n "$REF" ] && git ls-remote --exit-code "$from" "refs/heads/$REF" >/dev/null; then
  git checkout --quiet -B "$REF" "$wanted"
else
  git checkout --quiet --detach "$wanted"
fi
