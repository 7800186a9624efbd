// Runs before anything is painted, so that a chosen theme does not flash.
try {
  const theme = localStorage.getItem('telemetry-hub.theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  // Without storage the system's theme it is.
}
