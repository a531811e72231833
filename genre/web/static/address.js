// The address of the page names the chosen model, unless the visitor taught it, who alone has it. Without this script
// nobody could send a link that opens with that model.
(name) => {
  const address = new URL(location.href);
  if (name && !name.startsWith("taught:")) address.searchParams.set("model", name);
  else address.searchParams.delete("model");
  address.search = address.search.replaceAll("%2F", "/");
  history.replaceState(history.state, "", address);
}
