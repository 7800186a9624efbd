// What the classic scripts in index.html put into the page.
declare const uPlot: typeof import('uplot').default
declare const StompJs: typeof import('@stomp/stompjs')
