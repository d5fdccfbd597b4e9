// What both views need of a page: elements, a root of their own, and the page's theme.

/** An element with attributes and children; strings become text, so nothing in data is ever markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/** A shadow root inside `host`, so that the page's styles and these do not touch each other. */
export function ownRoot(host, css) {
  const holder = element("div", { class: "dualpipe-view" });
  host.append(holder);
  const shadow = holder.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  shadow.adoptedStyleSheets = [sheet];
  const root = element("div", { class: "root" });
  shadow.append(root);
  return { holder, root };
}

/** "light" or "dark": as the book, Colab and JupyterLab mark it, else as the system prefers. */
export function pageTheme() {
  const { documentElement: html, body } = document;
  const named = html.dataset.theme || html.getAttribute("theme");
  if (named === "dark" || named === "light") return named;
  const lab = body && body.getAttribute("data-jp-theme-light");
  if (lab) return lab === "false" ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Call `paint(theme)` now and whenever the page changes its theme; returns what ends that. */
export function followTheme(paint) {
  let shown = "";
  const look = () => {
    const theme = pageTheme();
    if (theme !== shown) paint((shown = theme));
  };
  const observer = new MutationObserver(look);
  const attributeFilter = ["data-theme", "theme", "data-jp-theme-light"];
  observer.observe(document.documentElement, { attributeFilter });
  if (document.body) observer.observe(document.body, { attributeFilter });
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", look);
  look();
  return () => {
    observer.disconnect();
    system.removeEventListener("change", look);
  };
}

/** Set the colours of a palette as custom properties. */
export function setColours(root, colours, theme) {
  root.dataset.theme = theme;
  for (const name of ["ink", "muted", "paper", "idle", "border", "highlight"]) {
    root.style.setProperty(`--${name}`, colours[name]);
  }
}
