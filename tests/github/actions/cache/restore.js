const fs = require("fs"), { execFileSync } = require("child_process"), places = require("./places.js");
const starts = (process.env["INPUT_RESTORE-KEYS"] || "").split("\n").map((line) => line.trim()).filter(Boolean);
const exact = places.find(places.key, true);
const found = exact || starts.map((start) => places.find(start, false)).find(Boolean);
if (found) {
  places.paths.forEach((target, place) => {
    if (!fs.existsSync(`${found}/${place}.tar`)) return;
    fs.mkdirSync(target, { recursive: true });
    execFileSync("tar", ["-C", target, "-xf", `${found}/${place}.tar`]);
  });
}
console.log(found ? `Cache restored from key: ${decodeURIComponent(found.split("/").pop())}` : `Cache not found for key: ${places.key}`);
fs.appendFileSync(process.env.GITHUB_OUTPUT, `cache-hit=${Boolean(exact)}\n`);
