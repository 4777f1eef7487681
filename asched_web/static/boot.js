// Runs before the first paint, so that neither the theme nor the page's language flickers. A classic script: modules wait.
(function () {
  const root = document.documentElement;
  let theme = "auto";
  let lang = "";
  try {
    theme = localStorage.getItem("asched.theme") || "auto";
    lang = localStorage.getItem("asched.lang") || "";
  } catch {
    // Storage is switched off: the system's theme and the browser's language do.
  }
  if (lang !== "en" && lang !== "zh") lang = /^zh\b/i.test(navigator.language || "") ? "zh" : "en";
  const dark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = dark ? "dark" : "light";
  root.dataset.themeChoice = theme;
  root.lang = lang === "zh" ? "zh-Hans" : "en";
})();
