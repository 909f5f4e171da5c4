const fs = require("fs"), { execFileSync } = require("child_process"), places = require("./places.js");
if (!fs.existsSync(places.folder(places.key))) {
  const made = `${places.scopes[0]}/.unfinished-${process.pid}`;
  fs.mkdirSync(made, { recursive: true });
  places.paths.forEach((source, place) => {
    if (fs.existsSync(source)) execFileSync("tar", ["-C", source, "-cf", `${made}/${place}.tar`, "."]);
  });
  fs.renameSync(made, places.folder(places.key));
  console.log(`Cache saved with key: ${places.key}`);
}
