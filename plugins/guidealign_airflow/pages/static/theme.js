// Follows Airflow's own light or dark look: the page lies in a frame of the same origin.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const outside = () => {
    try {
      return parent !== window ? parent.document.documentElement : null;
    } catch {
      return null;
    }
  };
  const apply = () => {
    const host = outside();
    const dark = host ? host.classList.contains("dark") : system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  apply();
  system.addEventListener("change", apply);
  const host = outside();
  if (host) new MutationObserver(apply).observe(host, { attributeFilter: ["class"] });
})();
