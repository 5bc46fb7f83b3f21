// Reads a DigitalOcean account with godo, DigitalOcean's own Go client, and prints a summary as one JSON object.
// It tests the simulator with an independent client:
//
//	DIGITALOCEAN_API_URL=http://127.0.0.1:18080 DIGITALOCEAN_TOKEN=... go run .
package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

const perPage = 200

// Summary is the printed object. Amounts are decimal strings.
type Summary struct {
	AccountStatus     string         `json:"account_status"`
	Balance           *godo.Balance  `json:"balance"`
	Projects          []string       `json:"projects"`
	ProjectResources  int            `json:"project_resources"`
	ResourcesByKind   map[string]int `json:"resources_by_kind"`
	Droplets          []string       `json:"droplets"`
	GPUDroplets       []string       `json:"gpu_droplets"`
	Domains           []string       `json:"domains"`
	Volumes           []string       `json:"volumes"`
	FloatingIPs       []string       `json:"floating_ips"`
	ReservedIPs       []string       `json:"reserved_ips"`
	HistoryEntries    int            `json:"history_entries"`
	Invoices          int            `json:"invoices"`
	OldestPeriod      string         `json:"oldest_period"`
	NewestPeriod      string         `json:"newest_period"`
	InvoiceLines      int            `json:"invoice_lines"`
	April2026Lines    int            `json:"april_2026_lines"`
	April2026Sum      string         `json:"april_2026_sum"`
	NewestCSVRows     int            `json:"newest_csv_rows"`
	PreviewPeriod     string         `json:"preview_period"`
	InvoicesOff       []string       `json:"invoices_whose_items_do_not_sum_to_the_header"`
	SummariesOff      []string       `json:"invoices_whose_summary_differs_from_the_header"`
	RateLimit         int            `json:"rate_limit"`
	RequestsRemaining int            `json:"requests_remaining"`
}

func main() {
	summary, err := read()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(summary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func client() (*godo.Client, error) {
	url := os.Getenv("DIGITALOCEAN_API_URL")
	token := os.Getenv("DIGITALOCEAN_TOKEN")
	if url == "" || token == "" {
		return nil, fmt.Errorf("set DIGITALOCEAN_API_URL and DIGITALOCEAN_TOKEN")
	}
	return godo.New(&http.Client{
		Timeout:   30 * time.Second,
		Transport: bearer{token: token},
	}, godo.SetBaseURL(strings.TrimRight(url, "/")+"/"))
}

type bearer struct{ token string }

func (transport bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+transport.token)
	return http.DefaultTransport.RoundTrip(request)
}

// all reads a list as documented by godo: it requests pages until there is no link to a next one.
func all[T any](list func(*godo.ListOptions) ([]T, *godo.Response, error)) ([]T, error) {
	var items []T
	options := &godo.ListOptions{Page: 1, PerPage: perPage}
	for {
		page, response, err := list(options)
		if err != nil {
			return nil, err
		}
		items = append(items, page...)
		if response.Links == nil || response.Links.IsLastPage() {
			if response.Meta != nil && response.Meta.Total != len(items) {
				return nil, fmt.Errorf("read %d items, but the total is %d", len(items), response.Meta.Total)
			}
			return items, nil
		}
		current, err := response.Links.CurrentPage()
		if err != nil {
			return nil, err
		}
		if current != options.Page {
			return nil, fmt.Errorf("requested page %d, but its links are those of page %d", options.Page, current)
		}
		options.Page = current + 1
	}
}

func read() (*Summary, error) {
	digitalocean, err := client()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	summary := &Summary{
		ResourcesByKind: map[string]int{},
		InvoicesOff:     []string{},
		SummariesOff:    []string{},
	}
	steps := []func(context.Context, *godo.Client, *Summary) error{
		readAccount, readProjects, readResources, readBill,
	}
	for _, step := range steps {
		if err := step(ctx, digitalocean, summary); err != nil {
			return nil, err
		}
	}
	return summary, nil
}

func readAccount(ctx context.Context, client *godo.Client, summary *Summary) error {
	account, response, err := client.Account.Get(ctx)
	if err != nil {
		return err
	}
	summary.AccountStatus = account.Status
	summary.RateLimit = response.Rate.Limit
	summary.RequestsRemaining = response.Rate.Remaining
	summary.Balance, _, err = client.Balance.Get(ctx)
	return err
}

func readProjects(ctx context.Context, client *godo.Client, summary *Summary) error {
	projects, err := all(func(options *godo.ListOptions) ([]godo.Project, *godo.Response, error) {
		return client.Projects.List(ctx, options)
	})
	if err != nil {
		return err
	}
	for _, project := range projects {
		summary.Projects = append(summary.Projects, project.Name)
		resources, err := all(func(options *godo.ListOptions) ([]godo.ProjectResource, *godo.Response, error) {
			return client.Projects.ListResources(ctx, project.ID, options)
		})
		if err != nil {
			return fmt.Errorf("resources of project %s: %w", project.Name, err)
		}
		for _, resource := range resources {
			parts := strings.SplitN(resource.URN, ":", 3)
			summary.ProjectResources++
			summary.ResourcesByKind[parts[1]]++
		}
	}
	fallback, _, err := client.Projects.GetDefault(ctx)
	if err != nil {
		return err
	}
	if !fallback.IsDefault {
		return fmt.Errorf("project %s is the default project, but is_default is false", fallback.Name)
	}
	return nil
}

func readResources(ctx context.Context, client *godo.Client, summary *Summary) error {
	droplets, err := all(func(options *godo.ListOptions) ([]godo.Droplet, *godo.Response, error) {
		return client.Droplets.List(ctx, options)
	})
	if err != nil {
		return err
	}
	summary.Droplets = names(droplets, func(droplet godo.Droplet) string { return droplet.Name })
	for _, droplet := range droplets {
		address, err := droplet.PublicIPv4()
		if err != nil || address == "" || droplet.Size == nil || droplet.Region == nil || droplet.Image == nil {
			return fmt.Errorf("droplet %d lacks an address, size, region or image", droplet.ID)
		}
	}
	gpus, err := all(func(options *godo.ListOptions) ([]godo.Droplet, *godo.Response, error) {
		return client.Droplets.ListWithGPUs(ctx, options)
	})
	if err != nil {
		return err
	}
	summary.GPUDroplets = names(gpus, func(droplet godo.Droplet) string { return droplet.Name })
	domains, err := all(func(options *godo.ListOptions) ([]godo.Domain, *godo.Response, error) {
		return client.Domains.List(ctx, options)
	})
	if err != nil {
		return err
	}
	summary.Domains = names(domains, func(domain godo.Domain) string { return domain.Name })
	volumes, err := all(func(options *godo.ListOptions) ([]godo.Volume, *godo.Response, error) {
		return client.Storage.ListVolumes(ctx, &godo.ListVolumeParams{ListOptions: options})
	})
	if err != nil {
		return err
	}
	summary.Volumes = names(volumes, func(volume godo.Volume) string { return volume.Name })
	floating, err := all(func(options *godo.ListOptions) ([]godo.FloatingIP, *godo.Response, error) {
		return client.FloatingIPs.List(ctx, options)
	})
	if err != nil {
		return err
	}
	summary.FloatingIPs = names(floating, func(ip godo.FloatingIP) string { return ip.IP })
	reserved, err := all(func(options *godo.ListOptions) ([]godo.ReservedIP, *godo.Response, error) {
		return client.ReservedIPs.List(ctx, options)
	})
	if err != nil {
		return err
	}
	summary.ReservedIPs = names(reserved, func(ip godo.ReservedIP) string { return ip.IP })
	return nil
}

func names[T any](items []T, name func(T) string) []string {
	found := []string{}
	for _, item := range items {
		found = append(found, name(item))
	}
	return found
}

func readBill(ctx context.Context, client *godo.Client, summary *Summary) error {
	history, err := all(func(options *godo.ListOptions) ([]godo.BillingHistoryEntry, *godo.Response, error) {
		page, response, err := client.BillingHistory.List(ctx, options)
		if err != nil {
			return nil, response, err
		}
		return page.BillingHistory, response, nil
	})
	if err != nil {
		return err
	}
	summary.HistoryEntries = len(history)
	invoices, err := all(func(options *godo.ListOptions) ([]godo.InvoiceListItem, *godo.Response, error) {
		page, response, err := client.Invoices.List(ctx, options)
		if err != nil {
			return nil, response, err
		}
		summary.PreviewPeriod = page.InvoicePreview.InvoicePeriod
		return page.Invoices, response, nil
	})
	if err != nil {
		return err
	}
	summary.Invoices = len(invoices)
	for _, invoice := range invoices {
		if err := readInvoice(ctx, client, summary, invoice); err != nil {
			return fmt.Errorf("invoice of %s: %w", invoice.InvoicePeriod, err)
		}
	}
	if len(invoices) == 0 {
		return nil
	}
	newest := invoices[0]
	summary.NewestPeriod = newest.InvoicePeriod
	summary.OldestPeriod = invoices[len(invoices)-1].InvoicePeriod
	text, _, err := client.Invoices.GetCSV(ctx, newest.InvoiceUUID)
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil {
		return err
	}
	summary.NewestCSVRows = len(rows) - 1
	return nil
}

func readInvoice(ctx context.Context, client *godo.Client, summary *Summary, invoice godo.InvoiceListItem) error {
	items, err := all(func(options *godo.ListOptions) ([]godo.InvoiceItem, *godo.Response, error) {
		page, response, err := client.Invoices.Get(ctx, invoice.InvoiceUUID, options)
		if err != nil {
			return nil, response, err
		}
		return page.InvoiceItems, response, nil
	})
	if err != nil {
		return err
	}
	sum := new(big.Rat)
	for _, item := range items {
		amount, ok := new(big.Rat).SetString(item.Amount)
		if !ok {
			return fmt.Errorf("invalid amount: %q", item.Amount)
		}
		sum.Add(sum, amount)
	}
	total := sum.FloatString(2)
	if total != invoice.Amount {
		summary.InvoicesOff = append(summary.InvoicesOff, invoice.InvoicePeriod)
	}
	header, _, err := client.Invoices.GetSummary(ctx, invoice.InvoiceUUID)
	if err != nil {
		return err
	}
	if header.Amount != invoice.Amount || header.BillingPeriod != invoice.InvoicePeriod {
		summary.SummariesOff = append(summary.SummariesOff, invoice.InvoicePeriod)
	}
	summary.InvoiceLines += len(items)
	if invoice.InvoicePeriod == "2026-04" {
		summary.April2026Lines += len(items)
		summary.April2026Sum = total
	}
	return nil
}
