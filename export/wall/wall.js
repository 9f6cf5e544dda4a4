// The search of the wall: all words must be in what a tile says of itself.

const tiles = [...document.querySelectorAll("[data-words]")];
const search = document.getElementById("search");

function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const tile of tiles) {
    const text = tile.dataset.words.toLowerCase();
    tile.hidden = !words.every((word) => text.includes(word));
  }
  for (const family of document.querySelectorAll("section"))
    family.hidden = ![...family.querySelectorAll("[data-words]")].some((tile) => !tile.hidden);
  const count = tiles.filter((tile) => !tile.hidden).length;
  document.getElementById("found").textContent = words.length ? `${count} of ${tiles.length}` : "";
}

search.addEventListener("input", find);
find();
