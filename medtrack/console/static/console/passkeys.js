'use strict'

// What the browser or the person refused is said on the page; the console is for defects.
document.addEventListener('allauth.error', (event) => {
  event.preventDefault()
  document.getElementById('passkey_failed').hidden = false
})
