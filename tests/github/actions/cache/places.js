// Where a key is kept. As on GitHub, a branch sees its own caches and those of the default branch, and saves its own.
const fs = require("fs"), path = require("path");
const root = path.join(process.env.LOCAL_HUB, "cache");
const scope = (ref) => path.join(root, encodeURIComponent(ref));
exports.scopes = [scope(process.env.GITHUB_REF), scope("refs/heads/main")];
exports.folder = (key) => path.join(exports.scopes[0], encodeURIComponent(key));
exports.paths = process.env.INPUT_PATH.trim().split("\n").map((line) => line.trim().replace(/^~/, process.env.HOME));
exports.key = process.env.INPUT_KEY;
exports.find = (start, exact) => exports.scopes.filter(fs.existsSync)
  .flatMap((folder) => fs.readdirSync(folder).map((name) => path.join(folder, name)))
  .filter((found) => { const name = decodeURIComponent(path.basename(found)); return exact ? name === start : name.startsWith(start); })
  .sort((a, b) => fs.statSync(b).mtimeMs - fs.statSync(a).mtimeMs)[0];
