// A device's token, shown once, and what to do with it: complete for this hub, to be copied as it is.
import { copyButton } from '../copy.js'
import { h } from '../dom.js'
import { t } from '../i18n.js'
import { python } from './add_python.js'

/** @typedef {{id: string, token: string, url: string, certificate: string, public_key: string}} Credentials */

/** @type {[string, (c: Credentials, host: string) => string][]} */
const kinds = [['curl', curl], ['sim', simulator], ['python', python], ['esp', esp]]

/**
 * The token and its snippets.
 * @param {Credentials} c
 */
export function credentials(c) {
  const host = new URL(c.url).host
  return h('div', { class: 'stack' },
    h('p', { class: 'notice', text: t('add.once') }),
    h('dl', { class: 'secrets' }, [['add.token', c.token], ['add.url', c.url], ['add.publickey', c.public_key]].map(([key = '', value = '']) =>
      h('div', null, h('dt', { text: t(key) }), h('dd', { class: 'row' }, h('code', { text: value }), copyButton(() => value, t(key)))))),
    tabs(kinds.map(([name, write]) => ({ name, text: write(c, host) }))))
}

/**
 * Tabs after the ARIA pattern: arrows move between them.
 * @param {{name: string, text: string}[]} items
 */
function tabs(items) {
  const buttons = items.map((item, i) => h('button', {
    type: 'button', role: 'tab', id: `tab-${item.name}`, 'aria-controls': `panel-${item.name}`, text: t('add.tab.' + item.name),
    on: { click: () => show(i), keydown: (/** @type {KeyboardEvent} */ e) => key(e, i) },
  }))
  const panels = items.map((item) => h('div', { role: 'tabpanel', id: `panel-${item.name}`, 'aria-labelledby': `tab-${item.name}`, class: 'stack' },
    h('p', { class: 'hint', text: t(`add.tab.${item.name}.text`) }),
    h('pre', { class: 'snippet', tabindex: 0, role: 'region', 'aria-labelledby': `tab-${item.name}` }, h('code', { text: item.text })),
    h('div', null, copyButton(() => item.text, t('add.tab.' + item.name)))))
  /** @param {number} n */
  function show(n) {
    for (const [i, b] of buttons.entries()) {
      b.setAttribute('aria-selected', String(i === n))
      b.tabIndex = i === n ? 0 : -1
    }
    for (const [i, p] of panels.entries()) p.hidden = i !== n
  }
  /**
   * @param {KeyboardEvent} event
   * @param {number} i
   */
  function key(event, i) {
    const n = { ArrowRight: i + 1, ArrowLeft: i - 1 + items.length, Home: 0, End: items.length - 1 }[event.key]
    if (n === undefined) return
    event.preventDefault()
    show(n % items.length)
    buttons[n % items.length]?.focus()
  }
  show(0)
  return h('div', { class: 'stack' }, h('div', { role: 'tablist', class: 'segments', 'aria-label': t('add.snippets') }, buttons), panels)
}

/** @param {Credentials} c */
function certificateFile(c) {
  return `cat > hub.pem <<'EOF'\n${c.certificate.trim()}\nEOF\n`
}

/**
 * The handshake alone; the token goes by standard input, where other users of the machine don't see it.
 * @param {Credentials} c
 * @param {string} host
 */
function curl(c, host) {
  return certificateFile(c) + `curl --http1.1 --cacert hub.pem --max-time 2 --silent --output /dev/null --write-out '%{http_code}\\n' \\
  -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \\
  -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' -H 'Sec-WebSocket-Protocol: telemetry.v1' \\
  -H @- https://${host}/v1/device <<'EOF'
Authorization: Bearer ${c.token}
EOF
`
}

/**
 * @param {Credentials} c
 * @param {string} host
 */
function simulator(c, host) {
  return certificateFile(c) + `printf 'device,token\\n%s,%s\\n' '${c.id}' '${c.token}' > '${c.id}.csv'
firmware-sim run --hub wss://${host} --ca hub.pem --credentials '${c.id}.csv' --devices 1 --profile office
`
}

/** @param {Credentials} c */
function esp(c) {
  const pem = c.certificate.trim().split('\n').map((line) => `    "${line}\\n"`).join('\n')
  return `// ESP-IDF, or Arduino as its component: idf.py add-dependency "espressif/esp_websocket_client"
#include "esp_websocket_client.h"

static const char hub_certificate[] =
${pem};

static void on_event(void *arg, esp_event_base_t base, int32_t id, void *data)
{
    esp_websocket_event_data_t *e = data;

    if (id == WEBSOCKET_EVENT_CONNECTED) {
        // Send HELLO (0x01), section 9.1.
    } else if (id == WEBSOCKET_EVENT_DATA && e->op_code == 2 && e->data_len > 0) {
        switch ((uint8_t)e->data_ptr[0]) {
        case 0x81: break; // WELCOME: send SCHEMA if key 4 is true, then DATA (0x03), section 8
        case 0x82: break; // ACK: forget these frames
        }
    }
}

void telemetry_start(void)
{
    const esp_websocket_client_config_t config = {
        .uri = "${c.url}",
        .subprotocol = "telemetry.v1",
        .headers = "Authorization: Bearer ${c.token}\\r\\n",
        .cert_pem = hub_certificate,
        .ping_interval_sec = 15,
    };
    esp_websocket_client_handle_t client = esp_websocket_client_init(&config);
    esp_websocket_register_events(client, WEBSOCKET_EVENT_ANY, on_event, client);
    esp_websocket_client_start(client);
}
// The messages byte by byte, and C that writes and reads them: device/PROTOCOL.md, sections 8, 9 and 15.
`
}
