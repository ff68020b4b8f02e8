// All parts of the page: importing this defines them.

import "./sleeves-desk.js";
import "./engine-vault-card.js";
import "./core-vault-card.js";
import "./inventory-view.js";
import "./sleeve-chart.js";
import "./position-table.js";
import "./health-gauge.js";
import "./funding-table.js";
import "./order-log.js";
import "./alert-list.js";
import "./book-view.js";
import "./sleeves-page.js";
