// Opens the folded run that a link leads to, and shows what a cell or a point holds without the browser's delay.
(() => {
  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  for (const cell of document.querySelectorAll("td[title]")) {
    cell.dataset.tip = cell.title;
    cell.removeAttribute("title");
    cell.setAttribute("aria-description", cell.dataset.tip);
  }
  for (const title of document.querySelectorAll("rect > title")) {
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  }
  addEventListener("pointermove", (event) => {
    const over = event.target.closest ? event.target.closest("[data-tip]") : null;
    tip.style.display = over ? "block" : "none";
    if (!over) return;
    tip.textContent = over.dataset.tip;
    tip.style.left = Math.max(8, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = Math.min(event.clientY + 18, innerHeight - tip.offsetHeight - 8) + "px";
  });
})();
